// The page of the API: sends what its forms say, with the token typed in; keeps nothing.
"use strict";

function told(form) {
  const query = new URLSearchParams(), headers = {};
  let path = form.dataset.path;
  for (const field of form.querySelectorAll("[data-in]")) {
    if (field.dataset.in === "path") path = path.replace(`{${field.name}}`, encodeURIComponent(field.value));
    else if (field.value !== "" && field.dataset.in === "query") query.set(field.name, field.value);
    else if (field.value !== "") headers[field.name] = field.value;
  }
  const token = document.getElementById("token").value.trim();
  if (token) headers.Authorization = `Bearer ${token}`;
  const body = form.querySelector("textarea")?.value;
  if (body !== undefined) headers["Content-Type"] = form.dataset.media;
  const target = query.size ? `${path}?${query}` : path;
  return [target, { method: form.dataset.method, headers, body, credentials: "omit", redirect: "error" }];
}

async function answered(answer) {
  const kind = answer.headers.get("Content-Type") ?? "", etag = answer.headers.get("ETag");
  const line = `${answer.status} ${answer.statusText}${etag ? `\nETag: ${etag}` : ""}\n\n`;
  if (kind.includes("zip")) return `${line}${(await answer.blob()).size} bytes`;
  const text = await answer.text();
  return line + (kind.includes("json") ? JSON.stringify(JSON.parse(text), null, 2) : text);
}

document.getElementById("with-token").hidden = false;
for (const form of document.querySelectorAll("form.try")) {
  form.hidden = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const shown = form.querySelector("pre");
    shown.hidden = false;
    shown.textContent = "sent, waiting";
    try {
      const [target, request] = told(form);
      shown.textContent = await answered(await fetch(target, request));
    } catch (error) {
      shown.textContent = `no answer: ${error.message}`;
    }
  });
}
