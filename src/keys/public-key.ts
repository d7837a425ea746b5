export {};
export type PublicKey = never;
