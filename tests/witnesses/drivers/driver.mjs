// What the drivers in JavaScript share; see driver.py.
export const MODEL = "gemini-3-flash-preview", EMBEDDING_MODEL = "gemini-embedding-001", PROMPT = "Hello you";
export const SCHEMA = {
  type: "object", properties: {name: {type: "string"}, age: {type: "integer"}}, required: ["name", "age"]};
export const WEATHER = {name: "weather", description: "The weather in a city for some days.", parametersJsonSchema: {
  type: "object", properties: {city: {type: "string"}, days: {type: "integer"}}, required: ["city", "days"]}};
export const weather = ({city, days}) => ({result: `sun in ${city} for ${days} days`});
export const URL = process.argv[2];

export async function all(items) {
  const found = [];
  for await (const item of items) found.push(item);
  return found;
}

export async function errorOf(call) {
  try {
    await call();
  } catch (error) {
    return {class: error.constructor.name, status: error.status ?? error.response?.status, message: error.message};
  }
}

export async function cut(pieces) {
  let text = "";
  try {
    for await (const piece of pieces) text += piece;
  } catch (error) {
    return {text, error: error.constructor.name};
  }
  return {text, error: null};
}

export async function run(features) {
  const answer = JSON.stringify(await features[process.argv[3]]?.() ?? null);
  process.stdout.write(answer, () => process.exit(0));    // all of it, and whatever a client has left running
}
