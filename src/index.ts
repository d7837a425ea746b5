/** wasm-to-oci: the library's entry. Runs in Node, browsers, Deno, Bun and workers; `wasm-to-oci/node` adds what needs Node. */
export * from "./base/errors.ts";
