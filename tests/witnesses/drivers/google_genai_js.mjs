// @google/genai.
import {GoogleGenAI} from "@google/genai";
import {all, cut, EMBEDDING_MODEL, errorOf, MODEL, PROMPT, run, SCHEMA, URL, WEATHER, weather} from "./driver.mjs";

const client = new GoogleGenAI({apiKey: "test-key", httpOptions: {baseUrl: URL}});
const ask = (config, contents = PROMPT) => client.models.generateContent({model: MODEL, contents, config});
const text = async (...given) => (await ask(...given)).text;

async function* pieces() {
  for await (const chunk of await client.models.generateContentStream({model: MODEL, contents: PROMPT})) {
    yield chunk.text;
  }
}

async function tools() {
  const config = {tools: [{functionDeclarations: [WEATHER]}]};
  const asked = await ask(config);
  const results = asked.functionCalls.map((call) => (
    {functionResponse: {id: call.id, name: call.name, response: weather(call.args)}}));
  const contents = [
    {role: "user", parts: [{text: PROMPT}]}, asked.candidates[0].content, {role: "user", parts: results}];
  return {calls: asked.functionCalls.map((call) => call.args), text: await text(config, contents)};
}

async function files() {
  const file = await client.files.upload({
    file: new Blob(["hello files"], {type: "text/plain"}), config: {mimeType: "text/plain"}});
  const parts = [{fileData: {fileUri: file.uri, mimeType: file.mimeType}}, {text: PROMPT}];
  const answer = await text({}, [{role: "user", parts}]);
  const listed = (await all(await client.files.list())).map((each) => each.name);
  await client.files.delete({name: file.name});
  return {name: file.name, size: Number(file.sizeBytes), answer, listed};
}

async function caches() {
  const cache = await client.caches.create({model: MODEL, config: {contents: "A long text.", ttl: "60s"}});
  const longer = await client.caches.update({name: cache.name, config: {ttl: "7200s"}});
  const answer = await text({cachedContent: cache.name});
  const listed = (await all(await client.caches.list())).map((each) => each.name);
  await client.caches.delete({name: cache.name});
  return {name: cache.name, longer: longer.expireTime > cache.expireTime, answer, listed};
}

async function batches() {
  const src = ["a", "b"].map((key) => ({contents: [{role: "user", parts: [{text: PROMPT}]}], metadata: {key}}));
  let job = await client.batches.create({model: MODEL, src});
  while (!/SUCCEEDED|FAILED/.test(job.state)) job = await client.batches.get({name: job.name});
  return job.dest.inlinedResponses.map((each) => each.response.candidates[0].content.parts[0].text).sort();
}

async function interactions() {
  const made = await client.interactions.create({model: MODEL, input: PROMPT});
  const events = await all(await client.interactions.create({model: MODEL, input: PROMPT, stream: true}));
  const again = await client.interactions.get(made.id);
  await client.interactions.delete(made.id);
  const output = (interaction) => interaction.steps.flatMap((step) => step.content).map((part) => part.text).join("");
  return {text: output(made), again: output(again), events: events.map((event) => event.event_type)};
}

await run({
  text, tools, files, caches, batches, interactions, stream: () => all(pieces()), cut: () => cut(pieces()),
  JSON: async () => JSON.parse(await text({responseMimeType: "application/json", responseJsonSchema: SCHEMA})),
  count: async () => (await client.models.countTokens({model: MODEL, contents: PROMPT})).totalTokens,
  models: async () => (await all(await client.models.list())).map((model) => model.name),
  errors: () => errorOf(text),
  embeddings: async () => (await client.models.embedContent({model: EMBEDDING_MODEL, contents: ["one", "two"]}))
    .embeddings.map((each) => each.values),
});
