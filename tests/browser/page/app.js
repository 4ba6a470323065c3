// What the tests of single calls do on the page.
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

document.getElementById("files").addEventListener("change", async (event) => {
  window.uploadResult = await upload(window.datasetId, event.target.files).catch((error) => ({ error: error.message }));
  show("uploaded", JSON.stringify(window.uploadResult.body ?? window.uploadResult.error));
});

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
