// An annotation screen by the rules of the frontend: statuses are the first two hundred after every page of images,
// kept by image id; an image without one is not started; an undone deletion is a new annotation, and what is undone
// next is sent to the id of before.
const PAGE = 50, STATUSES = 200;
const at = (id) => document.getElementById(id);
const [canvas, stage, picture] = [at("canvas"), at("stage"), at("picture")];
const none = { images: [], total: 0, statuses: {}, image: null, annotations: [], selected: null, vertex: -1 };
const state = { ...none, project: null, task: "", filter: "all", undo: [], unfinished: null, loading: false };

// One thing after the other, as the keys were pressed; what fails is said.
let turn = Promise.resolve();
function queued(work) {
  turn = turn.then(work).then(render, (error) => { show("said", error.message); render(); });
  return turn;
}

const entry = (text, name) => Object.assign(document.createElement("li"), { textContent: text, className: name ?? "" });
const statusOf = (id) => state.statuses[id] ?? "not-started";

function render() {
  const begun = { completed: 0, "in-progress": 0 };
  for (const status of Object.values(state.statuses)) if (status in begun) begun[status] += 1;
  const counts = { all: state.total, ...begun, "not-started": state.total - begun.completed - begun["in-progress"] };
  for (const button of document.querySelectorAll("[data-filter]")) {
    button.textContent = `${button.dataset.filter.replace("-", " ")} ${counts[button.dataset.filter]}`;
  }
  at("images").replaceChildren(...state.images.filter((one) => ["all", statusOf(one.id)].includes(state.filter)).map(row));
  const mine = state.annotations.filter((one) => taskOf(one) === state.task);
  at("annotations").replaceChildren(...mine.map((one) => {
    const item = entry(inWords(one), one.id === state.selected ? "selected" : "");
    item.addEventListener("click", () => { state.selected = one.id; state.vertex = -1; render(); stage.focus(); });
    return item;
  }));
  show("opened", state.image?.id ?? "");
  at("status").textContent = state.image ? statusOf(state.image.id) : "";
  paint(canvas, mine, state.selected, state.unfinished);
}

function row(image) {
  const item = entry(` ${image.id}`, statusOf(image.id));
  if (image.id === state.image?.id) item.classList.add("open");
  item.prepend(Object.assign(new Image(), { loading: "lazy", src: image.thumbnail_url }));
  item.addEventListener("click", () => queued(() => open(image)));
  return item;
}

at("login").addEventListener("submit", (event) => {
  event.preventDefault();
  queued(async () => {
    const token = await call("POST", "/auth/login", { email: at("email").value, password: at("password").value });
    localStorage.setItem("access_token", token.access_token);
    show("me", (await call("GET", "/auth/me")).full_name);
    at("datasets").replaceChildren(...(await call("GET", "/datasets")).map((one) => {
      const button = Object.assign(document.createElement("button"), { textContent: one.name });
      button.addEventListener("click", () => queued(() => openDataset(one.id)));
      return button;
    }));
  });
});

async function openDataset(id) {
  const { id: project } = await call("GET", `/datasets/${id}/project`);
  state.project = await call("GET", `/projects/${project}`);
  at("task").replaceChildren(...state.project.task_types.map((task) => new Option(task)));
  await chooseTask(state.project.task_types[0]);
}

async function chooseTask(task) {
  Object.assign(state, none, { task, statuses: {}, filter: "all", undo: [] });
  render(); // nothing is open until it is there
  await loadPage();
  if (state.images.length) await open(state.images[0]);
}

async function loadPage() {
  const path = `/projects/${state.project.id}/images`;
  const page = await call("GET", `${path}?limit=${PAGE}&offset=${state.images.length}`);
  state.images = [...state.images, ...page.images];
  state.total = page.total;
  const answer = await call("GET", `${path}/status?task_type=${state.task}&limit=${STATUSES}&offset=0`);
  for (const one of answer.statuses) state.statuses[one.image_id] = one.status;
}

at("images").addEventListener("scroll", ({ target }) => {
  const left = target.scrollHeight - target.scrollTop - target.clientHeight;
  if (left > 100 || state.loading || state.images.length >= state.total) return;
  state.loading = true;
  queued(loadPage).finally(() => { state.loading = false; });
});
at("task").addEventListener("change", ({ target }) => queued(() => chooseTask(target.value)));
at("filters").addEventListener("click", ({ target }) => {
  state.filter = target.dataset.filter ?? state.filter;
  render();
});

const lock = () => `/image-locks/${state.project.id}/${encodeURIComponent(state.image.id)}`;

async function open(image) {
  if (state.image) await call("DELETE", lock());
  Object.assign(state, { image, selected: null, vertex: -1, undo: [], unfinished: null });
  await call("POST", `${lock()}/acquire`, {});
  picture.src = image.url;
  await picture.decode();
  [canvas.width, canvas.height] = [picture.naturalWidth, picture.naturalHeight];
  await listAnnotations();
}

async function listAnnotations() {
  const path = `/annotations/project/${state.project.id}?skip=0&limit=1000`;
  state.annotations = await call("GET", `${path}&image_id=${encodeURIComponent(state.image.id)}`);
  await call("GET", path);
}

// After every save: the lock released and taken side by side, the lists read again, the status as the person knows it.
async function saved(words, status = "in-progress") {
  await Promise.all([call("DELETE", lock()), call("POST", `${lock()}/acquire`, {}), listAnnotations()]);
  const any = state.annotations.some((one) => taskOf(one) === state.task);
  state.statuses[state.image.id] = any ? status : "not-started";
  show("said", words);
}

async function create(type, geometry, more) {
  const [[class_id, found] = []] = Object.entries(state.project.task_classes[state.task] ?? {});
  const body = { project_id: state.project.id, image_id: state.image.id, annotation_type: type, geometry };
  return call("POST", "/annotations", { ...body, class_id, class_name: found?.name, ...more });
}

async function draw(type, geometry) {
  const made = await create(type, sized({ type, ...geometry }, picture));
  Object.assign(state, { selected: made.id, vertex: -1, unfinished: null });
  await saved("Drawn");
}

async function move(step) {
  const one = state.annotations.find(({ id }) => id === state.selected);
  await call("PUT", `/annotations/${one.id}`, { geometry: moved(one.geometry, state.vertex, step) });
  state.undo.push({ id: one.id, geometry: one.geometry });
  await saved("Moved");
}

async function remove() {
  const one = state.annotations.find(({ id }) => id === state.selected);
  await call("DELETE", `/annotations/${one.id}`);
  state.undo.push({ deleted: one });
  Object.assign(state, { selected: null, vertex: -1 });
  await saved("Deleted");
}

async function undo() {
  const last = state.undo.pop();
  if (!last) return show("said", "There is nothing to undo");
  if (last.deleted) {
    const { annotation_type: type, geometry, class_id, class_name } = last.deleted;
    await create(type, geometry, { class_id, class_name });
  } else {
    await call("PUT", `/annotations/${last.id}`, { geometry: last.geometry });
  }
  return saved("Undone");
}

at("no-object").addEventListener("click", () => queued(async () => {
  const more = { class_id: null, class_name: "__background__", attributes: { task_type: state.task } };
  state.selected = (await create("no_object", { type: "no_object" }, more)).id;
  await saved("No object");
  stage.focus();
}));
at("confirm").addEventListener("click", () => queued(async () => {
  const path = `/projects/${state.project.id}/images/${encodeURIComponent(state.image.id)}/confirm`;
  await call("POST", `${path}?task_type=${state.task}`, {});
  await saved("Confirmed", "completed");
}));

// A mouse is told of in whole pixels, an element's place is not.
const place = (event) => {
  const { left, top } = canvas.getBoundingClientRect();
  return [event.clientX - Math.floor(left), event.clientY - Math.floor(top)];
};
let corner = null;
canvas.addEventListener("mousedown", (event) => {
  stage.focus();
  event.preventDefault();
  if (at("tool").value === "bbox") corner = place(event);
  if (at("tool").value === "polyline") state.unfinished = { points: [...(state.unfinished?.points ?? []), place(event)] };
  if (at("tool").value === "select") {
    const one = state.annotations.find(({ geometry }) => isAt(geometry, place(event)));
    Object.assign(state, { selected: one?.id ?? null, vertex: one ? vertexAt(one.geometry, place(event)) : -1 });
  }
  render();
});
canvas.addEventListener("mousemove", (event) => {
  if (!corner) return;
  state.unfinished = { bbox: boxBetween(corner, place(event)) };
  render();
});
canvas.addEventListener("mouseup", (event) => {
  if (!corner) return;
  const bbox = boxBetween(corner, place(event));
  corner = state.unfinished = null;
  if (bbox[2] >= 5 && bbox[3] >= 5) queued(() => draw("bbox", { bbox }));
});
stage.addEventListener("keydown", (event) => {
  const step = STEPS[event.key];
  if (step || event.key === "Delete") event.preventDefault();
  if (step) queued(() => state.selected && move(step));
  if (event.key === "Delete") queued(() => state.selected && remove());
  if (event.key === "z" && event.ctrlKey) queued(undo);
  if (event.key === "Enter" && state.unfinished) queued(() => draw("polyline", { points: state.unfinished.points }));
});

at("upload").addEventListener("submit", (event) => {
  event.preventDefault();
  queued(async () => {
    const answer = await upload(state.project.dataset_id, at("files").files, at("annotation-file").files[0]);
    const good = answer.status >= 200 && answer.status < 300;
    at("uploads").append(entry(good ? `${answer.body.images_uploaded} stored` : answer.body.detail, good ? "stored" : "refused"));
    event.target.reset();
    if (good) await chooseTask(state.task);
  });
});
