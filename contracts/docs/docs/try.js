// The try-it page: reads /openapi.json, shows every operation as a form, sends it, shows the answer.
// What comes from the description or from an answer is only ever set as text, never as markup.
"use strict";

const METHODS = ["get", "post", "put", "patch", "delete"];
const JSON_TYPE = "application/json";
let api = null;

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== false && value !== undefined) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

function resolve(schema) {
  let found = schema || {};
  while (found.$ref) {
    found = found.$ref.split("/").slice(1).reduce((place, part) => place[part], api);
  }
  return found;
}

// RFC 9562 version 4; crypto.randomUUID is missing on plain http outside of localhost.
function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

// A value of the right shape to begin with; `depth` ends schemas that contain themselves.
function sample(given, depth = 0) {
  const schema = resolve(given);
  if (schema.default !== undefined) return schema.default;
  if (schema.examples && schema.examples.length) return schema.examples[0];
  if (schema.const !== undefined) return schema.const;
  if (schema.enum) return schema.enum[0];
  const choices = schema.anyOf || schema.oneOf || schema.allOf;
  if (choices) return sample(choices[0], depth + 1);
  switch (schema.type) {
    case "object": {
      const filled = {};
      for (const [name, part] of Object.entries(depth < 5 ? schema.properties || {} : {})) filled[name] = sample(part, depth + 1);
      return filled;
    }
    case "array":
      return schema.minItems ? [sample(schema.items, depth + 1)] : [];
    case "integer":
    case "number":
      return schema.minimum ?? (schema.exclusiveMinimum ?? 0) + 1;
    case "boolean":
      return false;
    case "null":
      return null;
    default:
      return schema.format === "uuid" ? "00000000-0000-7000-8000-000000000000" : "";
  }
}

function bodyOf(operation) {
  const content = operation.requestBody && operation.requestBody.content;
  if (!content) return null;
  const type = Object.keys(content)[0];
  const filled = sample(content[type].schema);
  const text = type === JSON_TYPE ? JSON.stringify(filled, null, 2) : new URLSearchParams(filled).toString();
  return { type, text };
}

function field(id, label, control) {
  return [element("label", { for: id }, label), control];
}

function parameterFields(operation, id) {
  return (operation.parameters || []).flatMap((parameter) => {
    const name = `${id}-${parameter.in}-${parameter.name}`;
    const isKey = parameter.name.toLowerCase() === "idempotency-key";
    const start = isKey ? newKey() : String(resolve(parameter.schema).default ?? "");
    const input = element("input", { id: name, name: parameter.name, "data-in": parameter.in, required: parameter.required, autocomplete: "off" });
    input.value = start;
    const words = parameter.description ? `${parameter.name} (${parameter.in}): ${parameter.description}` : `${parameter.name} (${parameter.in})`;
    return field(name, words, input);
  });
}

function needs(operation) {
  const scopes = (operation.security || []).flatMap((way) => Object.values(way).flat());
  if (!scopes.length) return "No token.";
  const strength = operation["x-assurance"] ? ` Assurance: ${operation["x-assurance"]} or stronger.` : "";
  return `Scope: ${scopes.join(" or ")}.${strength}`;
}

function requestOf(form, path, method) {
  let address = path;
  const query = new URLSearchParams();
  const headers = {};
  for (const input of form.querySelectorAll("[data-in]")) {
    const place = input.dataset.in;
    if (place === "path") address = address.replace(`{${input.name}}`, encodeURIComponent(input.value));
    else if (input.value === "") continue;
    else if (place === "query") query.append(input.name, input.value);
    else if (place === "header") headers[input.name] = input.value;
  }
  const token = document.getElementById("token").value.trim();
  if (token) headers.Authorization = `Bearer ${token}`;
  const body = form.querySelector("textarea");
  if (body) headers["Content-Type"] = body.dataset.type;
  if (query.size) address += `?${query}`;
  // A redirect (sign-in) is shown, not followed: its page belongs into a window of its own.
  return [address, { method: method.toUpperCase(), headers, body: body ? body.value : undefined, redirect: "manual" }];
}

function pretty(text, type) {
  if (!/json/.test(type)) return text.slice(0, 20000);
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

async function send(form, path, method, output) {
  output.textContent = "Waiting for the answer…";
  try {
    const [address, options] = requestOf(form, path, method);
    const started = performance.now();
    const answer = await fetch(address, options);
    const took = Math.round(performance.now() - started);
    if (answer.type === "opaqueredirect") {
      output.textContent = `A redirect, after ${took} ms. Open ${address} in a window of its own to follow it.`;
      return;
    }
    const type = answer.headers.get("Content-Type") || "";
    const heads = Array.from(answer.headers, ([name, value]) => `${name}: ${value}`).join("\n");
    output.textContent = `${answer.status} ${answer.statusText} (${took} ms)\n${heads}\n\n${pretty(await answer.text(), type)}`;
  } catch (error) {
    output.textContent = `No answer came: ${error.message}`;
  }
}

function operationForm(operation, path, method, id) {
  const form = element("form", {}, ...parameterFields(operation, id));
  const body = bodyOf(operation);
  if (body) {
    const area = element("textarea", { id: `${id}-body`, rows: "8", "data-type": body.type, spellcheck: "false" });
    area.value = body.text;
    form.append(...field(area.id, `Body (${body.type})`, area));
  }
  const output = element("pre", { tabindex: "0", role: "status", "aria-label": "Answer" }, "Not sent yet.");
  form.append(element("button", {}, "Send"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(form, path, method, output);
  });
  return [form, output];
}

function showOperation(operation, path, method) {
  const id = operation.operationId.replace(/\W/g, "-");
  const heading = element("summary", {}, element("span", { class: "method" }, method.toUpperCase()), element("code", {}, path), ` ${operation.summary || ""}`);
  const box = element("details", { id }, heading);
  // Built when it is opened: a page of a hundred forms is slow on a phone.
  box.addEventListener("toggle", () => {
    if (box.children.length > 1) return;
    if (operation.description) box.append(element("p", {}, operation.description));
    box.append(element("p", { class: "note" }, needs(operation)));
    box.append(...operationForm(operation, path, method, id));
  });
  return box;
}

function showAll() {
  const place = document.getElementById("operations");
  const groups = new Map();
  for (const [path, item] of Object.entries(api.paths)) {
    for (const method of METHODS.filter((name) => item[name])) {
      const group = (item[method].tags || ["other"])[0];
      if (!groups.has(group)) groups.set(group, element("div", {}, element("h3", {}, group)));
      groups.get(group).append(showOperation(item[method], path, method));
    }
  }
  place.replaceChildren(...groups.values());
  const count = place.querySelectorAll("details").length;
  document.getElementById("state").textContent = `${count} operations, version ${api.info.version}.`;
  if (location.hash) document.getElementById(location.hash.slice(1))?.setAttribute("open", "");
}

async function signIn(event) {
  event.preventDefault();
  const said = document.getElementById("sign-in-answer");
  const value = (id) => document.getElementById(id).value.trim();
  // RFC 6749, 2.3.1: id and secret are form-encoded before they are joined.
  const credentials = btoa(`${encodeURIComponent(value("client"))}:${encodeURIComponent(value("secret"))}`);
  const body = new URLSearchParams({ grant_type: "client_credentials" });
  if (value("scope")) body.set("scope", value("scope"));
  try {
    const answer = await fetch("/oauth/token", { method: "POST", headers: { Authorization: `Basic ${credentials}` }, body });
    const told = await answer.json();
    if (answer.ok) document.getElementById("token").value = told.access_token;
    said.textContent = answer.ok ? `Good for ${told.expires_in} seconds.` : told.error_description || told.error || `${answer.status}`;
  } catch (error) {
    said.textContent = `No token came: ${error.message}`;
  }
}

async function start() {
  document.getElementById("sign-in").addEventListener("submit", signIn);
  try {
    const answer = await fetch("/openapi.json");
    if (!answer.ok) throw new Error(`${answer.status}`);
    api = await answer.json();
    showAll();
  } catch (error) {
    document.getElementById("state").textContent = `The description could not be read: ${error.message}`;
  }
}

start();
