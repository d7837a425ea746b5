import { Hono } from "hono";
import { expect, test } from "vitest";
import { createLog, errorFields, requestLog } from "../../src/server/log.ts";

function logged(level: "debug" | "info" | "silent" = "info"): {
  log: ReturnType<typeof createLog>;
  lines: () => Record<string, unknown>[];
} {
  const lines: string[] = [];
  return {
    log: createLog({ level, write: (line) => void lines.push(line) }),
    lines: () => lines.map((line) => JSON.parse(line) as Record<string, unknown>),
  };
}

function appWith(log: ReturnType<typeof createLog>): Hono {
  const app = new Hono();
  app.use(requestLog(log, "test"));
  app.get("/fail", () => {
    throw new Error("broken", { cause: new Error("why") });
  });
  app.onError((_, c) => c.text("failed", 500));
  app.all("*", (c) => c.text("hello"));
  return app;
}

test("writes one JSON line per event, of the chosen level and above", () => {
  const { log, lines } = logged();
  log.debug({}, "not this");
  log.info({ port: 5000, none: undefined }, "listening");
  log.error(errorFields(new Error("broken", { cause: "why" })), "failed");
  expect(lines()).toEqual([
    { level: "info", time: expect.stringMatching(/^\d{4}-.*Z$/), port: 5000, msg: "listening" },
    { level: "error", time: expect.any(String), error: "broken", cause: "why", msg: "failed" },
  ]);
});

test("says of a request what it was and how it ended", async () => {
  const { log, lines } = logged();
  const answer = await appWith(log).request("/v2/acme/app/manifests/v1", { headers: { "x-request-id": "trace-1" } });
  expect(answer.headers.get("x-request-id")).toBe("trace-1");
  expect(lines()).toEqual([
    expect.objectContaining({
      level: "info",
      server: "test",
      requestId: "trace-1",
      method: "GET",
      path: "/v2/acme/app/manifests/v1",
      status: 200,
      ms: expect.any(Number),
    }),
  ]);
});

test("says of a failed request why, with its cause", async () => {
  const { log, lines } = logged();
  await appWith(log).request("/fail");
  expect(lines()).toEqual([expect.objectContaining({ level: "error", status: 500, error: "broken", cause: "why" })]);
});

test("never contains credentials, query strings, bodies or whole upload ids", async () => {
  const { log, lines } = logged("debug");
  const id = "01234567-89ab-cdef-0123-456789abcdef";
  await appWith(log).request(`/v2/acme/app/blobs/uploads/${id}?token=SECRET1&digest=x`, {
    method: "PUT",
    body: "SECRET2",
    headers: { authorization: "Basic SECRET3", cookie: "SECRET4", "x-request-id": "SECRET 5" },
  });
  const text = JSON.stringify(lines());
  expect(text).not.toContain("SECRET");
  expect(text).not.toContain(id);
  expect(lines()[0]!["path"]).toBe("/v2/acme/app/blobs/uploads/01234567…");
});

test("keeps one line per event, whatever text a client sends", async () => {
  const { log, lines } = logged();
  await appWith(log).request("/a%0d%0a%1b[2Jb");
  log.info({ repository: "a\r\n\u001b[2J" }, "x");
  expect(lines()).toHaveLength(2);
});

test("is silent when told", () => {
  const { log, lines } = logged("silent");
  log.error({}, "x");
  expect(lines()).toEqual([]);
});

test("writes nothing that acts on a terminal, however a client's text got into an error, and loses none of it", () => {
  const written: string[] = [];
  const log = createLog({ level: "info", write: (line) => void written.push(line) });
  const hostile = "\u009b2J\u202e\u001b]0;x\u0007\u2028\u{e0041}";
  log.warn(errorFields(new Error("refused", { cause: new Error(hostile) })), hostile);
  expect(written).toHaveLength(1);
  expect(written[0]).toMatch(/^[\u0020-\u007e]+\n$/);
  expect(JSON.parse(written[0]!)).toMatchObject({ cause: hostile, msg: hostile });
});
