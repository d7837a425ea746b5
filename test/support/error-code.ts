import { WasmToOciError } from "../../src/base/errors.ts";

/** The code of the error that an action ends in. */
export async function codeOf(action: () => unknown): Promise<string> {
  try {
    await action();
  } catch (error) {
    return (error as { code?: string }).code ?? `no code: ${String(error)}`;
  }
  return "no error";
}

/** The error that a promise ends in, which must be one of ours. */
export async function failureOf(work: Promise<unknown>): Promise<WasmToOciError> {
  const error = await work.then(
    () => "no error",
    (thrown: unknown) => thrown,
  );
  if (error instanceof WasmToOciError) return error;
  throw new Error(`expected one of our errors, got ${String(error)}`);
}
