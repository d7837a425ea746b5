import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { matchRoute } from "../../../src/server/trust/routes.ts";

const HEX = "ab".repeat(32);

describe("routes of the Notary API", () => {
  it.each([
    ["/v2/", { name: "ping" }],
    ["/_notary_server/health", { name: "health" }],
    ["/v2/a/_trust/tuf/root.json", { name: "current", gun: "a", role: "root" }],
    [
      "/v2/localhost:5000/a/b/_trust/tuf/targets/releases.json",
      { name: "current", gun: "localhost:5000/a/b", role: "targets/releases" },
    ],
    ["/v2/a/_trust/tuf/3.root.json", { name: "by-version", gun: "a", role: "root", version: 3 }],
    ["/v2/a/_trust/tuf/01.root.json", { name: "by-version", gun: "a", role: "root", version: 1 }],
    ["/v2/a/_trust/tuf/10.targets/x.json", { name: "by-version", gun: "a", role: "targets/x", version: 10 }],
    [`/v2/a/_trust/tuf/targets/x.${HEX}.json`, { name: "by-hash", gun: "a", role: "targets/x", hash: HEX }],
    [`/v2/a/_trust/tuf/snapshot.${HEX}${HEX}.json`, { name: "by-hash", gun: "a", role: "snapshot", hash: HEX + HEX }],
    ["/v2/a/_trust/tuf/timestamp.key", { name: "key", gun: "a", role: "timestamp" }],
    ["/v2/a/_trust/changefeed", { name: "changefeed", gun: "a" }],
    ["/v2/_trust/changefeed", { name: "changefeed", gun: undefined }],
    // The name is greedy, as in Go.
    ["/v2/a/_trust/tuf/b/_trust/tuf/root.json", { name: "current", gun: "a/_trust/tuf/b", role: "root" }],
  ])("finds GET %s", (path, route) => {
    expect(matchRoute("GET", path)).toEqual(route);
  });

  it.each([
    ["POST", "/v2/a/b/_trust/tuf/", { name: "publish", gun: "a/b" }],
    ["DELETE", "/v2/a/_trust/tuf/", { name: "delete", gun: "a" }],
    ["POST", "/v2/a/_trust/tuf/snapshot.key", { name: "new-key", gun: "a", role: "snapshot" }],
  ])("finds %s %s", (method, path, route) => {
    expect(matchRoute(method, path)).toEqual(route);
  });

  it.each([
    ["GET", "/v2"],
    ["POST", "/v2/"],
    ["HEAD", "/v2/a/_trust/tuf/root.json"],
    ["PUT", "/v2/a/_trust/tuf/root.json"],
    ["DELETE", "/v2/a/_trust/tuf/root.json"],
    ["POST", "/v2/a/_trust/tuf"],
    ["GET", "/v2/a/_trust/tuf/"],
    ["GET", "/v2/a*/_trust/tuf/root.json"],
    ["GET", "/v2/a/_trust/tuf/mirror.json"],
    ["GET", "/v2/a/_trust/tuf/Root.json"],
    ["GET", "/v2/a/_trust/tuf/root"],
    ["GET", "/v2/a/_trust/tuf/root.abcd.json"],
    ["GET", "/v2/a/_trust/tuf/targets.key"],
    ["POST", "/v2/a/_trust/tuf/root.key"],
    ["POST", "/v2/a/_trust/changefeed"],
    ["POST", "/_notary_server/health"],
    ["GET", "/"],
  ])("finds nothing for %s %s", (method, path) => {
    expect(matchRoute(method, path)).toEqual({ name: "not-found" });
  });

  it.each(["PATCH", "OPTIONS", "TRACE", "PROPFIND"])("does not allow %s anywhere", (method) => {
    expect(matchRoute(method, "/v2/a/_trust/tuf/root.json")).toEqual({ name: "method-not-allowed" });
  });

  it.each([
    ["/v2//_trust/tuf/root.json", "/v2/_trust/tuf/root.json"],
    ["/v2/a//b/_trust/tuf/", "/v2/a/b/_trust/tuf/"],
    ["/v2/a/../../b/_trust/tuf/root.json", "/b/_trust/tuf/root.json"],
    ["//elsewhere.example/v2/", "/elsewhere.example/v2/"],
  ])("sends %s to its clean form, on this server", (path, clean) => {
    expect(matchRoute("GET", path)).toEqual({ name: "redirect", path: clean });
  });

  it("never gives a name that could leave its place, and cleans in one step", () => {
    const part = fc.constantFrom("v2", "..", ".", "", "a", "_trust", "tuf", "root.json", "targets", "\n", "*", "é");
    fc.assert(
      fc.property(fc.array(part, { maxLength: 12 }), fc.constantFrom("GET", "POST", "DELETE"), (parts, method) => {
        const route = matchRoute(method, `/${parts.join("/")}`);
        if ("gun" in route && route.gun !== undefined) {
          expect(route.gun.split("/")).not.toContain("..");
          expect(route.gun).not.toMatch(/^\/|\/$|\/\/|\*/);
        }
        if (route.name === "redirect") expect(matchRoute(method, route.path).name).not.toBe("redirect");
      }),
      { numRuns: 1000 },
    );
  });
});
