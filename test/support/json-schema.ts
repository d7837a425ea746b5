/** A validator for the part of JSON Schema (2020-12) that our schemas use; any other keyword is an error. */
import { isJsonObject, type JsonObject, type JsonValue } from "../../src/base/json.ts";

type Rule = (argument: JsonValue, value: JsonValue, schema: JsonObject, root: JsonObject) => boolean;

const TYPES: Readonly<Record<string, (value: JsonValue) => boolean>> = {
  object: isJsonObject,
  array: Array.isArray,
  string: (value) => typeof value === "string",
  integer: Number.isSafeInteger,
};

const same = (a: JsonValue, b: JsonValue): boolean => canonical(a) === canonical(b);

const ifString = (test: (argument: JsonValue, text: string) => boolean): Rule => {
  return (argument, value) => typeof value !== "string" || test(argument, value);
};
const ifArray = (test: (argument: JsonValue, array: JsonValue[], root: JsonObject) => boolean): Rule => {
  return (argument, value, _schema, root) => !Array.isArray(value) || test(argument, value, root);
};
const ifObject = (
  test: (argument: JsonValue, object: JsonObject, schema: JsonObject, root: JsonObject) => boolean,
): Rule => {
  return (argument, value, schema, root) => !isJsonObject(value) || test(argument, value, schema, root);
};

const RULES: Readonly<Record<string, Rule>> = {
  type: (name, value) => TYPES[name as string]!(value),
  const: (wanted, value) => same(wanted, value),
  enum: (choices, value) => (choices as JsonValue[]).some((choice) => same(choice, value)),
  minimum: (least, value) => typeof value !== "number" || value >= (least as number),
  minLength: ifString((least, text) => Array.from(text).length >= (least as number)),
  maxLength: ifString((most, text) => Array.from(text).length <= (most as number)),
  pattern: ifString((pattern, text) => new RegExp(pattern as string, "u").test(text)),
  minItems: ifArray((least, array) => array.length >= (least as number)),
  maxItems: ifArray((most, array) => array.length <= (most as number)),
  uniqueItems: ifArray((_yes, array) => new Set(array.map(canonical)).size === array.length),
  items: ifArray((schema, array, root) => array.every((item) => validates(schema, item, root))),
  required: ifObject((keys, object) => (keys as string[]).every((key) => Object.hasOwn(object, key))),
  properties: ifObject((properties, object, _schema, root) =>
    Object.entries(properties as JsonObject).every(
      ([key, schema]) => !Object.hasOwn(object, key) || validates(schema, object[key]!, root),
    ),
  ),
  additionalProperties: ifObject((_no, object, schema) =>
    Object.keys(object).every((key) => Object.hasOwn(schema["properties"] as JsonObject, key)),
  ),
  allOf: (schemas, value, _schema, root) => (schemas as JsonValue[]).every((one) => validates(one, value, root)),
  oneOf: (schemas, value, _schema, root) =>
    (schemas as JsonValue[]).filter((one) => validates(one, value, root)).length === 1,
  not: (schema, value, _schema, root) => !validates(schema, value, root),
  $ref: (reference, value, _schema, root) => {
    const name = (reference as string).slice("#/$defs/".length);
    return validates((root["$defs"] as JsonObject)[name]!, value, root);
  },
};

const ANNOTATIONS = new Set(["$schema", "$defs", "title", "description"]);

/** Tells whether a value is one that the schema describes. */
export function validates(schema: JsonValue, value: JsonValue, root = schema as JsonObject): boolean {
  return Object.entries(schema as JsonObject).every(([keyword, argument]) => {
    if (ANNOTATIONS.has(keyword)) return true;
    const rule = RULES[keyword];
    if (rule === undefined) throw new Error(`this validator does not know ${keyword}`);
    return rule(argument, value, schema as JsonObject, root);
  });
}

function canonical(value: JsonValue): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (!isJsonObject(value)) return JSON.stringify(value);
  const members = Object.keys(value)
    .toSorted()
    .map((key) => `${JSON.stringify(key)}:${canonical(value[key]!)}`);
  return `{${members.join()}}`;
}
