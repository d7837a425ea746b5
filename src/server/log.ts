/**
 * The servers' log: one JSON line per event on stderr. Nothing secret is ever given to it: no header, no
 * query string (tokens travel there), no body; upload sessions are shortened because their id is a capability.
 */
import { randomUUID } from "node:crypto";
import type { MiddlewareHandler } from "hono";
import { pino } from "pino";
import { errorCode, errorMessage } from "../base/errors.ts";
import { escapeJsonText } from "../base/terminal-text.ts";

/** Facts about an event, e.g. `{ repository, tag }`. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

export type LogLevel = "debug" | "info" | "warn" | "error";

/** Where the servers report what they do. Must not throw. */
export interface Log {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
}

/**
 * Opens the log.
 *
 * @param options.write takes whole lines; stderr unless told
 * @example
 * ```ts
 * const log = createLog({ level: "info" });
 * log.info({ port: 5000 }, "registry is listening");
 * ```
 */
export function createLog(options: { level: LogLevel | "silent"; write?: (line: string) => void }): Log {
  const settings = {
    level: options.level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  // Synchronous: the line that explains a crash is the one that an asynchronous log would lose.
  const stderr = options.write === undefined ? pino.destination({ fd: 2, sync: true }) : undefined;
  const write = options.write ?? ((line) => stderr!.write(line));
  return pino(settings, { write: (line) => write(escapeJsonText(line)) }); // it may quote what a client sent
}

/** The facts of anything thrown, for a log line. The text of an error names files and digests, never secrets. */
export function errorFields(error: unknown): LogFields {
  const cause = error instanceof Error && error.cause !== undefined ? errorMessage(error.cause) : undefined;
  return { error: errorMessage(error), code: errorCode(error), cause };
}

const REQUEST_ID = /^[A-Za-z0-9._-]{1,64}$/;
const UUID = /([0-9a-f]{8})-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;

/**
 * Logs each request once it is answered, with a request id that is also sent back as `X-Request-Id`. A
 * caller's own id is kept where it is short and plain, so that one id follows a request through proxies.
 */
export function requestLog(log: Log, server: string): MiddlewareHandler {
  return async (c, next) => {
    const started = performance.now();
    const given = c.req.header("x-request-id");
    const requestId = given !== undefined && REQUEST_ID.test(given) ? given : randomUUID();
    await next();
    c.header("x-request-id", requestId);
    const status = c.res.status;
    const fields: LogFields = {
      server,
      requestId,
      method: c.req.method,
      path: new URL(c.req.url).pathname.replaceAll(UUID, "$1…"),
      status,
      ms: Math.round(performance.now() - started),
      ...(c.error === undefined ? {} : errorFields(c.error)),
    };
    if (status >= 500) log.error(fields, "request failed");
    else log.info(fields, "request");
  };
}
