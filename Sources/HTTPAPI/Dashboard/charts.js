// Four small charts of the last minutes.
import { duration, element, number } from "./format.js";

const definitions = [
  { name: "Images a second", lines: [{ name: "", of: (h) => h.images }], text: number },
  { name: "Tokens a second", lines: [{ name: "", of: (h) => h.tokens }], text: number },
  { name: "Answer time", lines: [{ name: "p50", of: (h) => h.answerP50 }, { name: "p95", of: (h) => h.answerP95 }], text: duration },
  { name: "Requests", lines: [{ name: "in flight", of: (h) => h.inFlight }, { name: "waiting", of: (h) => h.waiting }], text: number },
];
const seconds = 300;
const width = 300;
const height = 100;

/** A mean over three seconds: steady enough to read, quick enough to see. */
function smooth(values) {
  return values.map((_, index) => {
    const near = values.slice(Math.max(0, index - 2), index + 1).filter((value) => value !== null);
    return near.length ? near.reduce((sum, value) => sum + value, 0) / near.length : null;
  });
}

/** The next 1, 2 or 5 times a power of ten. */
function ceiling(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}

function path(values, most, isArea) {
  const step = width / Math.max(1, values.length - 1);
  let text = "";
  let isOn = false;
  let start = 0;
  values.forEach((value, index) => {
    if (value === null) { isOn = false; return; }
    if (!text) start = index * step;
    const point = `${(index * step).toFixed(1)} ${(height - (value / most) * height).toFixed(1)}`;
    text += `${isOn ? "L" : "M"}${point}`;
    isOn = true;
  });
  return isArea && text ? `${text}L${width} ${height}L${start.toFixed(1)} ${height}Z` : text;
}

function svg(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  return made;
}

export class Charts {
  constructor(place) {
    this.place = place;
  }

  /** Shows columns of one value per second, the present second last; null where nothing was measured. */
  show(history) {
    // The present second isn't over: it would always look like a fall.
    // A server that is younger than five minutes has nothing to say of the time before.
    const finished = Object.fromEntries(Object.entries(history).map(([name, values]) =>
      [name, [...Array(Math.max(0, seconds - values.length)).fill(null), ...values].slice(0, -1)]));
    this.place.replaceChildren(...definitions.map((definition) => this.chart(definition, finished)));
  }

  chart(definition, history) {
    const lines = definition.lines.map((line) => smooth(line.of(history)));
    const most = ceiling(Math.max(...lines.flat().map((value) => value ?? 0)));
    const picture = svg("svg", { viewBox: `0 -2 ${width} ${height + 4}`, preserveAspectRatio: "none", "aria-hidden": "true" });
    for (const part of [0, 0.5, 1]) picture.append(svg("line", { x1: 0, x2: width, y1: part * height, y2: part * height }));
    if (lines.length === 1) picture.append(svg("path", { class: "area", d: path(lines[0], most, true) }));
    lines.forEach((values, index) => picture.append(svg("path", { class: index ? "second" : "first", d: path(values, most, false) })));
    const now = lines.map((values) => values.at(-1)).map((value) => (value === null || value === undefined ? "–" : definition.text(value)));
    const keys = definition.lines.map((line, index) => element("span", {},
      definition.lines.length > 1 ? element("i", { class: index ? "second" : "" }) : "", `${line.name} ${now[index]}`.trim()));
    return element("figure", { class: "chart" },
      element("figcaption", {}, element("strong", {}, definition.name), element("span", { class: "key" }, ...keys)),
      picture,
      element("div", { class: "axis" }, element("span", {}, "5 min ago"), element("span", {}, `top ${definition.text(most)}`), element("span", {}, "now")));
  }
}
