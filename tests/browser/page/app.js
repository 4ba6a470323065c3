// The calls of the labeler's frontend, in its manner: one fetch wrapper that always sends a content type
// (so that every call is pre-flighted), errors read from `detail` alone, uploads by XMLHttpRequest.
const base = new URLSearchParams(location.search).get("api") + "/api/v1";
const show = (id, text) => { document.getElementById(id).textContent = text; };

async function call(method, path, body) {
  const headers = { "Content-Type": "application/json" };
  const token = localStorage.getItem("access_token");
  if (token) headers.Authorization = `Bearer ${token}`;
  const answer = await fetch(base + path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  if (!answer.ok) {
    const error = await answer.json();
    throw new Error(error.detail);
  }
  return answer.status === 204 ? null : answer.json();
}

async function failing(method, path, body) {
  try {
    await call(method, path, body);
  } catch (error) {
    const item = document.createElement("li");
    item.textContent = `${method} ${path}: ${error.message}`;
    document.getElementById("errors").append(item);
    return error.message;
  }
  throw new Error(`${path} did not fail`);
}

document.getElementById("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = { email: document.getElementById("email").value, password: document.getElementById("password").value };
  try {
    localStorage.setItem("access_token", (await call("POST", "/auth/login", body)).access_token);
    const me = await call("GET", "/auth/me");
    show("me", `${me.full_name} (${me.badge_color.toLowerCase()})`);
    await listDatasets();
  } catch (error) {
    show("me", `nobody: ${error.message}`);
  }
});

async function listDatasets() {
  const list = document.getElementById("datasets");
  list.replaceChildren();
  for (const dataset of await call("GET", "/datasets")) {
    const item = document.createElement("li");
    item.textContent = `${dataset.name} (${dataset.num_items} images)`;
    list.append(item);
  }
}

// Promise of {status, body, seen}: the share of the body that was on its way at each progress event.
function upload(datasetId, files) {
  return new Promise((resolve, reject) => {
    const form = new FormData();
    for (const file of files) form.append("files", file, `browser/${file.name}`);
    const request = new XMLHttpRequest();
    const seen = [];
    request.upload.onprogress = (event) => {
      seen.push(event.loaded / event.total);
      document.getElementById("progress").value = event.loaded / event.total;
    };
    request.onload = () => resolve({ status: request.status, body: JSON.parse(request.responseText), seen });
    request.onerror = () => reject(new Error("network error"));
    request.open("POST", `${base}/datasets/${datasetId}/images`);
    request.setRequestHeader("Authorization", `Bearer ${localStorage.getItem("access_token")}`);
    request.send(form);
  });
}

document.getElementById("files").addEventListener("change", async (event) => {
  window.uploadResult = await upload(window.datasetId, event.target.files).catch((error) => ({ error: error.message }));
  show("uploaded", JSON.stringify(window.uploadResult.body ?? window.uploadResult.error));
});

function loaded(url) {
  return new Promise((resolve, reject) => {
    const image = new Image();
    image.crossOrigin = "anonymous";
    image.onload = () => resolve(image);
    image.onerror = () => reject(new Error(`no image at ${url}`));
    image.src = url;
  });
}

async function thumbnails(images) {
  const row = document.getElementById("images");
  row.replaceChildren();
  for (const image of images) row.append(await loaded(image.thumbnail_url));
}

// Draw an image and its boxes; the colour of one pixel is read back, which a tainted canvas refuses.
async function draw(image, annotations, [x, y]) {
  const canvas = document.getElementById("canvas");
  const context = canvas.getContext("2d");
  const picture = await loaded(image.url);
  [canvas.width, canvas.height] = [picture.naturalWidth, picture.naturalHeight];
  context.drawImage(picture, 0, 0);
  const pixel = Array.from(context.getImageData(x, y, 1, 1).data);
  context.lineWidth = 3;
  context.strokeStyle = "#e4572e";
  for (const { geometry } of annotations) {
    if (geometry.type === "bbox") context.strokeRect(...geometry.bbox);
  }
  return { width: canvas.width, height: canvas.height, pixel };
}
