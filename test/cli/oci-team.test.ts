/** The life of a collection whose trust data is in the registry itself. */
import { describeTeam } from "../support/team-suite.ts";

describeTeam({
  kind: "oci",
  place: async (served, name) => ["--trust", `oci://${served.registry}/${name}/trust`],
});
