/** What needs Node: files, keys, credentials, the HTTPS transport, and trust sources put together from them. */
export { dockerCredentials, type DockerCredentialsOptions } from "./docker-credentials.ts";
export { fileOutput } from "./file-output.ts";
export { openModuleFile, type ModuleFile } from "./module-file.ts";
export { nodeHasher } from "./hasher.ts";
export { openKeyDir } from "./key-dir.ts";
export { localAuthorities } from "./local-ca.ts";
export { withNotaryPins } from "./notary-config.ts";
export { openNotarySource } from "./notary-source.ts";
export { openOciSource } from "./oci-source.ts";
export { openPinFile } from "./pin-file.ts";
export { nodeRuntime, type NodeRuntime } from "./runtime.ts";
export { createNodeTransport, type NodeTransport, type NodeTransportOptions } from "./transport.ts";
export { openTufDirectory } from "./tuf-directory-publisher.ts";
export { openTufSource } from "./tuf-source.ts";
