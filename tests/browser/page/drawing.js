// What a mouse and a keyboard make of shapes, in pixels of the image; nothing here calls the API.
const REACH = 6; // pixels from a vertex or an edge within which a click means it
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const NATURAL_TASK = {
  bbox: "detection", rotated_bbox: "detection", polyline: "geometry", circle: "geometry",
  polygon: "segmentation", classification: "classification",
};
const rounded = (number) => Math.round(number * 100) / 100;
const taskOf = (one) => NATURAL_TASK[one.annotation_type] ?? one.attributes.task_type;

function sized(geometry, picture) {
  return { ...geometry, image_width: picture.naturalWidth, image_height: picture.naturalHeight };
}

function boxBetween([x1, y1], [x2, y2]) {
  return [Math.min(x1, x2), Math.min(y1, y2), Math.abs(x2 - x1), Math.abs(y2 - y1)].map(rounded);
}

// The number of the vertex at a place, -1 for none.
function vertexAt(geometry, [x, y]) {
  return (geometry.points ?? []).findIndex(([a, b]) => Math.hypot(a - x, b - y) <= REACH);
}

function isAt(geometry, [x, y]) {
  if (!geometry.bbox) return vertexAt(geometry, [x, y]) >= 0;
  const [left, top, width, height] = geometry.bbox;
  return x >= left && x <= left + width && y >= top && y <= top + height;
}

// A box goes as a whole and sends its geometry without a size; a vertex goes alone, and the editor of vertices
// calls every list of points a polygon.
function moved(geometry, vertex, [dx, dy]) {
  if (geometry.bbox) {
    const [x, y, width, height] = geometry.bbox;
    return { type: "bbox", bbox: [rounded(x + dx), rounded(y + dy), width, height] };
  }
  const points = geometry.points.map(([x, y], at) => (at === vertex ? [rounded(x + dx), rounded(y + dy)] : [x, y]));
  return { ...geometry, type: "polygon", points };
}

function inWords({ id, annotation_type: type, geometry, annotation_state: state }) {
  const where = geometry.bbox ? geometry.bbox.join(",") : (geometry.points ?? []).map((one) => one.join(",")).join(" ");
  return `#${id} ${type} ${where} ${state}`;
}

function paint(canvas, annotations, selected, unfinished) {
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.lineWidth = 2;
  const line = (points) => {
    context.beginPath();
    points.forEach(([x, y], at) => (at ? context.lineTo(x, y) : context.moveTo(x, y)));
    context.stroke();
    for (const [x, y] of points) context.strokeRect(x - 3, y - 3, 6, 6);
  };
  for (const { id, geometry } of annotations) {
    context.strokeStyle = id === selected ? "#2157d6" : "#e4572e";
    if (geometry.type === "bbox") context.strokeRect(...geometry.bbox);
    if (geometry.type === "polyline" || geometry.type === "polygon") line(geometry.points);
  }
  context.strokeStyle = "#1c8a4b";
  if (unfinished?.bbox) context.strokeRect(...unfinished.bbox);
  if (unfinished?.points) line(unfinished.points);
}
