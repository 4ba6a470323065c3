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

// Promise of {status, body, seen}: the share of the body that was on its way at each progress event.
function upload(datasetId, files, annotationFile) {
  return new Promise((resolve, reject) => {
    const form = new FormData();
    for (const file of files) form.append("files", file, `browser/${file.name}`);
    if (annotationFile) form.append("annotation_file", annotationFile);
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

function loaded(url) {
  return new Promise((resolve, reject) => {
    const image = new Image();
    image.crossOrigin = "anonymous";
    image.onload = () => resolve(image);
    image.onerror = () => reject(new Error(`no image at ${url}`));
    image.src = url;
  });
}
