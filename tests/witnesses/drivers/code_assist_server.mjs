// CodeAssistServer, the client of Code Assist in Gemini CLI, taken out of its bundle.
import {readdirSync} from "node:fs";
import {OAuth2Client} from "google-auth-library";
import {all, cut, errorOf, MODEL, PROMPT, run, SCHEMA, URL, WEATHER, weather} from "./driver.mjs";

process.env.CODE_ASSIST_ENDPOINT = URL;
const bundle = new globalThis.URL("node_modules/@google/gemini-cli/bundle/", import.meta.url);
const {CodeAssistServer} = await import(new globalThis.URL(
  readdirSync(bundle).find((name) => /^core-.*\.js$/.test(name)), bundle));
const signedIn = new OAuth2Client();
signedIn.setCredentials({access_token: "test-token", expiry_date: Date.now() + 3600e3});
const client = new CodeAssistServer(signedIn, "fake-project", {}, "a-session");
const request = (config, contents = [{role: "user", parts: [{text: PROMPT}]}]) => ({model: MODEL, contents, config});
const ask = (...given) => client.generateContent(request(...given), "a-prompt");
const textOf = (answer) => answer.candidates[0].content.parts.map((part) => part.text).join("");

async function* pieces() {
  for await (const chunk of await client.generateContentStream(request(), "a-prompt")) yield textOf(chunk);
}

async function tools() {
  const config = {tools: [{functionDeclarations: [WEATHER]}]};
  const {content} = (await ask(config)).candidates[0];
  const calls = content.parts.map((part) => part.functionCall);
  const results = calls.map(({id, name, args}) => ({functionResponse: {id, name, response: weather(args)}}));
  const answer = await ask(config, [...request().contents, content, {role: "user", parts: results}]);
  return {calls: calls.map((call) => call.args), text: textOf(answer)};
}

await run({
  tools, text: async () => textOf(await ask()), stream: () => all(pieces()), cut: () => cut(pieces()),
  JSON: async () => JSON.parse(textOf(await ask({responseMimeType: "application/json", responseJsonSchema: SCHEMA}))),
  count: async () => (await client.countTokens(request())).totalTokens, errors: () => errorOf(ask),
});
