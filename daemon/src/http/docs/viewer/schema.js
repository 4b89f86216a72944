// JSON schemas as a tree to read, and as an example to begin with.

import { element } from "./element.js";

const DEPTH = 7;

function resolved(schema, components) {
  const name = schema?.$ref?.replace("#/components/schemas/", "");
  return name ? { ...components?.schemas?.[name], name } : (schema ?? {});
}

function types(schema) {
  return [schema.type ?? []].flat();
}

function choices(schema) {
  return schema.oneOf ?? schema.anyOf;
}

/** Without `null`, which says only that it may be left out. */
function alternatives(schema, components) {
  return choices(schema).map((choice) => resolved(choice, components)).filter((choice) => types(choice)[0] !== "null");
}

function merged(schema, components) {
  const whole = resolved(schema, components);
  if (!whole.allOf) return whole;
  const parts = whole.allOf.map((part) => merged(part, components));
  return parts.reduce((sum, part) => ({
    ...sum, ...part,
    properties: { ...sum.properties, ...part.properties },
    required: [...(sum.required ?? []), ...(part.required ?? [])],
  }), whole);
}

function typeName(schema, components) {
  const whole = merged(schema, components);
  if (whole.const !== undefined) return JSON.stringify(whole.const);
  if (whole.enum) return whole.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (choices(whole)) return [...new Set(alternatives(whole, components).map((choice) => typeName(choice, components)))].join(" | ");
  if (whole.items) return `array of ${typeName(whole.items, components)}`;
  const named = types(whole).filter((type) => type !== "null").join(" | ");
  return named || (whole.properties ? "object" : "any");
}

function limits(schema) {
  const names = { minimum: "at least", maximum: "at most", minLength: "at least so long:", maxItems: "at most so many:" };
  const said = Object.entries(names).filter(([key]) => schema[key] !== undefined).map(([key, word]) => `${word} ${schema[key]}`);
  if (schema.default !== undefined && schema.default !== null) said.push(`default ${JSON.stringify(schema.default)}`);
  return said.join(", ");
}

function children(schema, components, depth) {
  const whole = merged(schema, components);
  if (depth > DEPTH) return null;
  if (whole.properties) {
    const required = new Set(whole.required);
    return element("ul", {}, ...Object.entries(whole.properties).map(([name, property]) =>
      entry(name, property, components, depth, required.has(name))));
  }
  if (whole.items) return children(whole.items, components, depth);
  if (choices(whole)) {
    const found = alternatives(whole, components);
    if (found.length === 1) return children(found[0], components, depth);
    const lists = found.map((choice) => [choice, children(choice, components, depth + 1)]).filter(([, list]) => list);
    if (!lists.length) return null;
    return element("ul", {}, ...lists.map(([choice, list]) =>
      element("li", {}, element("details", {}, element("summary", { textContent: choice.title ?? choice.name ?? typeName(choice, components) }), list))));
  }
  return null;
}

function entry(name, property, components, depth, required) {
  const whole = merged(property, components);
  const label = element("span", { textContent: name });
  if (required) label.className = "required";
  const about = [(property.description ?? whole.description ?? "").split("\n")[0], limits(whole)].filter(Boolean).join(" · ");
  const line = [label, " ", element("span", { className: "type", textContent: typeName(property, components) }),
    about ? element("span", { className: "about", textContent: ` ${about}` }) : null];
  const below = children(property, components, depth + 1);
  if (!below) return element("li", {}, ...line);
  const box = element("details", { open: depth < 1 }, element("summary", {}, ...line.filter(Boolean)), below);
  return element("li", {}, box);
}

export function schemaTree(schema, components) {
  const tree = element("div", { className: "schema" });
  tree.append(children(schema, components, 0) ?? element("span", { className: "type", textContent: typeName(schema, components) }));
  return tree;
}

/** A value that the schema allows: what is required, and what has an example. */
export function example(media, components) {
  if (media.example !== undefined) return media.example;
  const named = Object.values(media.examples ?? {})[0];
  if (named?.value !== undefined) return named.value;
  return valueOf(media.schema ?? {}, components, 0);
}

function valueOf(schema, components, depth) {
  const whole = merged(schema, components);
  if (whole.example !== undefined) return whole.example;
  if (whole.examples?.length) return whole.examples[0];
  if (whole.const !== undefined) return whole.const;
  if (whole.enum) return whole.enum[0];
  if (depth > DEPTH) return null;
  if (choices(whole)) return valueOf(alternatives(whole, components)[0] ?? {}, components, depth + 1);
  if (whole.default !== undefined && whole.default !== null) return whole.default;
  if (whole.items) return depth < 3 ? [valueOf(whole.items, components, depth + 1)] : [];
  if (whole.properties) {
    const required = new Set(whole.required);
    const kept = Object.entries(whole.properties).filter(([name, property]) =>
      required.has(name) || merged(property, components).example !== undefined);
    return Object.fromEntries(kept.map(([name, property]) => [name, valueOf(property, components, depth + 1)]));
  }
  switch (types(whole).filter((type) => type !== "null")[0]) {
    case "string": return "";
    case "integer": case "number": return whole.minimum ?? 0;
    case "boolean": return false;
    case "array": return [];
    default: return {};
  }
}
