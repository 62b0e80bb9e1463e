// The box to try the model: a picture and a task in; text, boxes and masks out.
import { duration, element } from "./format.js";

const colours = ["#e6194b", "#2f6fed", "#0c9c5b", "#e07b00", "#9a3fd1", "#00a3b4", "#d6309c", "#7a8a00"];
const texts = {
  vqa: ["Question", "what color is the circle?"], detect: ["What to find (several: a ; b)", "red square"],
  segment: ["What to cut out", "red square"], count: ["What to count", "circles"], "": ["Prompt", "caption en"],
};
/** A picture larger than this is made smaller before it is sent: the model sees a few hundred pixels. */
const sideMaximum = 1600;
const find = (id) => document.getElementById(id);
let picture = null; // { image, url }

export function startTrying(ask) {
  const drop = find("drop");
  find("picture").addEventListener("change", (event) => take(event.target.files[0]));
  for (const name of ["dragover", "dragleave", "drop"]) {
    drop.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", name === "dragover");
      if (name === "drop") take(event.dataTransfer.files[0]);
    });
  }
  document.addEventListener("paste", (event) => {
    const file = [...event.clipboardData.files].find((one) => one.type.startsWith("image/"));
    if (file) take(file);
  });
  find("task").addEventListener("change", showTask);
  showTask();
  find("try").addEventListener("submit", async (event) => {
    event.preventDefault();
    find("ask").disabled = true;
    try { await question(ask); } catch (error) { say(error.message, true); }
    find("ask").disabled = false;
  });
}

function showTask() {
  const wanted = texts[find("task").value];
  find("form-label").hidden = !hasForm(find("task").value);
  find("text-label").hidden = !wanted;
  if (!wanted) return;
  find("text-name").textContent = wanted[0];
  find("text").placeholder = wanted[1];
}

function say(text, isBad = false) {
  find("answer").replaceChildren(element("p", { class: isBad ? "bad" : "quiet" }, text));
}

async function take(file) {
  if (!file) return;
  let image;
  try { image = await createImageBitmap(file); } catch { say("This is no picture that the browser can read.", true); return; }
  picture = { image, url: await dataURL(file, image) };
  find("invite").hidden = true;
  draw([], []);
  find("view").dataset.name = file.name;
  say("");
}

/** The file itself, or the picture made smaller. */
async function dataURL(file, image) {
  const scale = Math.min(1, sideMaximum / Math.max(image.width, image.height));
  if (scale === 1 && file.size < 4e6 && ["image/jpeg", "image/png", "image/webp"].includes(file.type)) {
    return new Promise((resolve, reject) => {
      const reader = new FileReader();
      reader.onload = () => resolve(reader.result);
      reader.onerror = () => reject(reader.error);
      reader.readAsDataURL(file);
    });
  }
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [Math.round(image.width * scale), Math.round(image.height * scale)];
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/jpeg", 0.92);
}

async function question(ask) {
  if (!picture) { say("Choose a picture first.", true); return; }
  const task = find("task").value;
  const needsText = task in texts;
  const text = find("text").value.trim() || (needsText ? find("text").placeholder : "");
  const content = [{ type: "image_url", image_url: { url: picture.url } }];
  if (needsText) content.push({ type: "text", text });
  const body = { messages: [{ role: "user", content }], max_tokens: 128 };
  if (task) body.task = task;
  // Masks are drawn from their run lengths.
  body.mask_png = false;
  if (hasForm(task) && find("constrain").checked) body.constrain = true;
  say("asking …");
  const start = performance.now();
  const response = await ask("/v1/chat/completions", {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) { say(answer.error?.message ?? `The server said ${response.status}.`, true); return; }
  show(answer, performance.now() - start);
}

function show(answer, milliseconds) {
  const choice = answer.choices[0];
  const boxes = choice.boxes ?? [];
  // One for each box, or null.
  const masks = (choice.masks ?? []).map((mask, index) => mask && { ...mask, label: boxes[index]?.label ?? "" }).filter(Boolean);
  draw(boxes, masks);
  const names = [...new Set(boxes.map((box) => box.label))];
  const found = boxes.map((box) => {
    const swatch = element("i");
    swatch.style.background = colourOf(box.label, names);
    return element("li", {}, swatch, `${box.label} `, element("span", { class: "quiet" }, `[${box.xyxy.map((corner) => Math.round(corner)).join(", ")}]`));
  });
  const raw = choice.message.content;
  const shown = raw.replace(/<(loc|seg)\d+>/g, "").replace(/\s*;\s*/g, ", ").trim();
  find("answer").replaceChildren(
    element("p", { class: "text" }, shown || "(nothing)"),
    element("p", { class: "quiet" }, `${duration(milliseconds)}, ${answer.usage?.completion_tokens ?? 0} tokens, ended by ${choice.finish_reason}`),
    found.length ? element("ul", {}, ...found) : "",
    shown === raw ? "" : element("code", {}, raw));
}

/** Whether answers to a task have a form that the server can keep them to. */
function hasForm(task) { return task === "detect" || task === "segment"; }

function colourOf(label, names) { return colours[Math.max(0, names.indexOf(label)) % colours.length]; }

function draw(boxes, masks) {
  const canvas = find("view");
  const { image } = picture;
  canvas.hidden = false;
  // Small pictures are enlarged, so that lines and labels have room.
  const scale = Math.max(1, Math.min(4, 640 / Math.max(image.width, image.height)));
  [canvas.width, canvas.height] = [image.width * scale, image.height * scale];
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  const names = [...new Set([...boxes, ...masks].map((one) => one.label))];
  for (const mask of masks) drawMask(context, mask, colourOf(mask.label, names), scale);
  const line = Math.max(2, Math.round(canvas.width / 260));
  context.font = `600 ${Math.max(13, Math.round(canvas.width / 42))}px system-ui, "DejaVu Sans", sans-serif`;
  context.textBaseline = "top";
  for (const box of boxes) {
    const [x1, y1, x2, y2] = box.xyxy.map((corner) => corner * scale);
    context.strokeStyle = colourOf(box.label, names);
    context.lineWidth = line;
    context.strokeRect(x1, y1, x2 - x1, y2 - y1);
    const size = context.measureText(box.label).width + 10;
    const height = parseInt(context.font.split(" ")[1], 10) + 6;
    const top = y1 >= height ? y1 - height : y1;
    context.fillStyle = colourOf(box.label, names);
    context.fillRect(x1 - line / 2, top, size, height);
    context.fillStyle = "#fff";
    context.fillText(box.label, x1 + 5, top + 3);
  }
  canvas.setAttribute("aria-label", boxes.length ? `The picture with ${boxes.length} boxes: ${boxes.map((box) => box.label).join(", ")}` : "The picture");
}

/** Paints a mask's run lengths (COCO: columns, zeros first) in the label's colour. */
function drawMask(context, mask, colour, scale) {
  const [height, width] = mask.size;
  const runs = runsOf(mask.counts);
  const layer = document.createElement("canvas");
  [layer.width, layer.height] = [width, height];
  const pen = layer.getContext("2d");
  const pixels = pen.createImageData(width, height);
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  let place = 0;
  runs.forEach((run, index) => {
    for (let end = place + run; place < end; place += 1) {
      if (index % 2) pixels.data.set([red, green, blue, 120], ((place % height) * width + Math.floor(place / height)) * 4);
    }
  });
  pen.putImageData(pixels, 0, 0);
  context.drawImage(layer, 0, 0, width * scale, height * scale);
}

/** COCO's compressed run lengths: five bits a character, differences to the run before the last. */
function runsOf(text) {
  const runs = [];
  let place = 0;
  while (place < text.length) {
    let value = 0;
    let shift = 0;
    let isMore = true;
    while (isMore) {
      const bits = text.charCodeAt(place) - 48;
      value |= (bits & 0x1f) << shift;
      isMore = (bits & 0x20) !== 0;
      place += 1;
      shift += 5;
      if (!isMore && bits & 0x10) value |= -1 << shift;
    }
    runs.push(runs.length > 2 ? value + runs[runs.length - 2] : value);
  }
  return runs;
}
