// Node looks no name up: whoever is not on 127.0.0.1 cannot be reached.
require("node:dns").lookup = (name, options, done = options) => (
  done(Object.assign(new Error(`no name is looked up here, and ${name} neither`), {code: "ENOTFOUND"})));
