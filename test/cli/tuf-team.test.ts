/** The life of a collection in a directory that any web server could serve. */
import { folderIn } from "../support/team.ts";
import { describeTeam } from "../support/team-suite.ts";

describeTeam({
  kind: "tuf",
  place: async (served, name) => ["--trust", await folderIn(served, `tuf-${name}`)],
});
