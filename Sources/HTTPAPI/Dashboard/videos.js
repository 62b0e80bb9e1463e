// Videos under way: where each stands, its latest frame with the answer, what became of its frames.
import { element, percent } from "./format.js";

const find = (id) => document.getElementById(id);
const cards = new Map();
let isThere = true;

function facts(video) {
  const { answered, repeated, failed, dropped, under_way: underWay } = video.frames;
  const drops = Object.entries(dropped).map(([cause, count]) => `${count.toLocaleString("en")} ${cause}`).join(", ");
  return [
    ["answered", `${answered.toLocaleString("en")} (${video.frames_per_second.toFixed(1)}/s)`],
    repeated ? ["repeated", `${repeated.toLocaleString("en")} (${percent(video.saved_share)} saved)`] : null,
    ["dropped", drops || "0"],
    failed ? ["failed", failed.toLocaleString("en")] : null,
    ["under way", `${underWay}`],
    ["capture to answer", `${Math.round(video.latency_ms.p50)} ms, p99 ${Math.round(video.latency_ms.p99)} ms`],
    video.reconnections ? ["reconnections", `${video.reconnections}`] : null,
  ].filter(Boolean);
}

function said(video) {
  const last = video.last;
  if (!last) return "no frame yet";
  if (last.error) return `frame ${last.frame}: ${last.error.message}`;
  if (last.dropped) return `frame ${last.frame} was dropped: ${last.dropped}`;
  const names = last.boxes.map((box) => box.label);
  const text = names.length ? names.join(", ") : last.text || "nothing";
  return `at ${Number(last.pts).toFixed(2)} s: ${text}`;
}

/** A card stays as long as its video, so that the picture doesn't flicker. */
function card(id) {
  if (!cards.has(id)) {
    const image = element("img", { alt: "The latest frame with what the model found", hidden: "" });
    const text = element("div");
    cards.set(id, { root: element("li", { "data-id": id }, image, text), image, text, frame: -1 });
  }
  return cards.get(id);
}

async function showFrame(ask, video, parts) {
  const frame = video.last?.frame ?? -1;
  if (frame === parts.frame || !video.frames.answered) return;
  parts.frame = frame;
  const response = await ask(`/v1/video/streams/${video.id}/frame.jpg`);
  if (!response.ok) return;
  const address = URL.createObjectURL(await response.blob());
  parts.image.onload = () => URL.revokeObjectURL(address);
  parts.image.src = address;
  parts.image.hidden = false;
}

/** Looks at the videos once. */
export async function lookAtVideos(ask) {
  if (!isThere) return;
  const response = await ask("/v1/video/streams?limit=20");
  isThere = response.status !== 404;
  if (!response.ok) return;
  const videos = (await response.json()).data;
  find("videos").hidden = videos.length === 0;
  const ids = new Set(videos.map((video) => video.id));
  for (const id of cards.keys()) if (!ids.has(id)) cards.delete(id);
  find("video-list").replaceChildren(...videos.map((video) => {
    const parts = card(video.id);
    const isLive = video.state === "live";
    const isBad = video.state === "failed" || video.state === "reconnecting" || video.state === "stalled";
    const detail = video.status.error?.message ?? video.status.cause ?? "";
    parts.text.replaceChildren(
      element("div", { class: "row" }, element("strong", { title: video.source }, video.source.split("/").pop() || video.source),
        element("span", { class: `pill ${isLive ? "ready" : isBad ? "lost" : ""}`, title: detail }, video.state)),
      element("p", { class: "quiet" }, `${video.prompt} · ${video.sampling}`),
      element("p", { class: "said" }, said(video)),
      element("dl", {}, ...facts(video).flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)])));
    return parts.root;
  }));
  await Promise.all(videos.map((video) => showFrame(ask, video, cards.get(video.id))));
}
