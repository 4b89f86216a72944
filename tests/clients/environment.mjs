// What every test of a client is given: where a daemon runs, its key, and its models.

const prefix = "AIRUNNER_TEST_MODEL_";

function required(name) {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set: run this with \`cargo test -p airunner-tests --test clients\``);
  return value;
}

/** Such as http://127.0.0.1:40000, without a slash at the end. */
export const url = required("AIRUNNER_TEST_URL");

export const key = required("AIRUNNER_TEST_KEY");

/** Names of the models by what they do; README.md lists them. */
export const models = Object.fromEntries(
  Object.entries(process.env)
    .filter(([name]) => name.startsWith(prefix))
    .map(([name, value]) => [name.slice(prefix.length).toLowerCase(), value]),
);
