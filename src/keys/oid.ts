/** Object identifiers of the algorithms that are read or written here. */
export const OID = {
  ecPublicKey: "1.2.840.10045.2.1",
  p224: "1.3.132.0.33",
  p256: "1.2.840.10045.3.1.7",
  p384: "1.3.132.0.34",
  p521: "1.3.132.0.35",
  rsaEncryption: "1.2.840.113549.1.1.1",
  ed25519: "1.3.101.112",
  /** Notary's own for private keys: GnuTLS's arc, not RFC 8410's. */
  notaryEd25519: "1.3.6.1.4.1.11591.15.1",
} as const;
