// Asks the server how it is, once a second, and shows it.
import { Charts } from "./charts.js";
import { Timeline } from "./timeline.js";
import { startTrying } from "./try.js";
import { lookAtVideos } from "./videos.js";
import { bytes, duration, element, number, percent } from "./format.js";

const find = (id) => document.getElementById(id);
let key = sessionStorage.getItem("palisade-key") ?? "";
let isAsking = false;

/** Asks the server; a key that it wants is asked of the user. */
export async function ask(path, options = {}) {
  const headers = { ...options.headers };
  const tried = key;
  if (key) headers.Authorization = `Bearer ${key}`;
  // A key that was typed counts alone: not the one that the browser signed in with.
  const credentials = key ? "omit" : "same-origin";
  const response = await fetch(path, { ...options, headers, credentials });
  // Another key may have been typed since.
  if (response.status === 401 && tried === key) askForKey();
  return response;
}

function askForKey() {
  if (isAsking) return;
  isAsking = true;
  find("key").value = key;
  find("key-dialog").showModal();
}

find("key-button").addEventListener("click", askForKey);
find("key-cancel").addEventListener("click", () => find("key-dialog").close());
find("key-dialog").addEventListener("close", () => { isAsking = false; });
find("key-form").addEventListener("submit", () => {
  key = find("key").value.trim();
  sessionStorage.setItem("palisade-key", key);
});

// The theme: the system's, or the user's.
const themes = ["system", "light", "dark"];
function setTheme(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  find("theme").textContent = `Theme: ${theme}`;
  localStorage.setItem("palisade-theme", theme);
  timeline.readColours();
}
const timeline = new Timeline(find("timeline"), find("tip"));
setTheme(themes.includes(localStorage.getItem("palisade-theme")) ? localStorage.getItem("palisade-theme") : "system");
find("theme").addEventListener("click", () => {
  const now = document.documentElement.dataset.theme ?? "system";
  setTheme(themes[(themes.indexOf(now) + 1) % themes.length]);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => timeline.readColours());
find("window").addEventListener("change", (event) => { timeline.seconds = Number(event.target.value); });
find("pause").addEventListener("click", (event) => {
  const isPaused = timeline.togglePause();
  event.target.textContent = isPaused ? "Go on" : "Pause";
  event.target.setAttribute("aria-pressed", String(isPaused));
});
find("trace-file").addEventListener("click", async (event) => {
  if (!key) return; // the link itself works
  event.preventDefault();
  const response = await ask(event.target.href);
  if (!response.ok) return;
  const link = element("a", { href: URL.createObjectURL(await response.blob()), download: "palisade-trace.json" });
  link.click();
  URL.revokeObjectURL(link.href);
});

const charts = new Charts(find("charts"));

function showFigures(status) {
  const service = status.service;
  const latency = (value) => (value.count ? duration(value.p50) : "–");
  const figures = [
    [number(service.imagesPerSecond), "images/s"],
    [number(service.tokensPerSecond), "tokens/s"],
    [`${service.inFlight}`, `in flight, ${service.waiting} waiting`],
    [latency(service.firstToken), `first token (p95 ${service.firstToken.count ? duration(service.firstToken.p95) : "–"})`],
    [latency(service.answer), `answer (p95 ${service.answer.count ? duration(service.answer.p95) : "–"})`],
    [service.succeeded.toLocaleString("en"), `answered, ${service.failed.toLocaleString("en")} failed`],
  ];
  find("figures").replaceChildren(
    ...figures.map(([value, name]) => element("div", {}, element("b", {}, value), element("small", {}, name))));
}

function stageCard(stage, isBottleneck) {
  const hits = stage.visionCacheHits + stage.visionCacheMisses;
  const rows = [
    ["queue", `${stage.queue}${stage.waitingTokens ? ` + ${stage.waitingTokens} tokens` : ""}`],
    ["memory", bytes(stage.residentBytes)],
    ["weights", bytes(stage.weightBytes)],
    stage.cacheBytes || stage.decodeRows ? ["KV", `${bytes(stage.cacheBytes)} in ${stage.cacheCount}`] : null,
    stage.visionCacheHits || stage.visionCacheBytes
      ? ["vision cache", `${percent(stage.visionCacheHits / hits)} hits, ${bytes(stage.visionCacheBytes)}`] : null,
    ["kernels", `${stage.instructionSet}, ${stage.threads} thread${stage.threads === 1 ? "" : "s"}`],
  ].filter(Boolean);
  const isSilent = stage.silenceMilliseconds > 1500;
  const busy = element("span", { class: "busy" });
  const gap = element("span", { class: "gap" });
  busy.style.width = percent(stage.recentBusy);
  gap.style.width = percent(stage.bubble);
  return element("div", { class: `stage${isBottleneck ? " hot" : ""}${isSilent ? " silent" : ""}` },
    element("h3", {}, stage.name, isBottleneck ? element("em", {}, "bottleneck") : ""),
    element("div", { class: "where", title: `${stage.worker} on ${stage.node}` },
      `blocks ${stage.firstBlock}–${stage.endBlock - 1} · ${stage.worker} on ${stage.node}`),
    element("div", { class: "meter", role: "img", "aria-label": `busy ${percent(stage.recentBusy)}, bubble ${percent(stage.bubble)}` }, busy, gap),
    element("div", { class: "shares" },
      element("span", {}, `busy ${percent(stage.recentBusy)}`),
      element("span", { class: "quiet" }, isSilent ? `silent for ${duration(stage.silenceMilliseconds)}` : `bubble ${percent(stage.bubble)}`)),
    element("dl", {}, ...rows.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)])));
}

function link(stages) {
  const rate = stages.reduce((sum, stage) => sum + stage.sentBytesPerSecond, 0);
  const arrow = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  arrow.setAttribute("viewBox", "0 0 74 12");
  arrow.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", "M8 6H64M58 1l6 5-6 5");
  arrow.append(path);
  return element("li", { class: "link" }, `${bytes(rate)}/s`, arrow);
}

function showStages(status) {
  const groups = new Map();
  for (const stage of status.stages) groups.set(stage.stage, [...(groups.get(stage.stage) ?? []), stage]);
  const list = [...groups.values()];
  find("stages").replaceChildren(...list.flatMap((stages, index) => [
    element("li", {}, ...stages.map((stage) => stageCard(stage, stage.name === status.bottleneck))),
    ...(index < list.length - 1 ? [link(stages)] : []),
  ]));
  find("nothing").hidden = list.length > 0;
  find("nothing").textContent = `No stages yet: ${status.message}.`;
  const hot = status.stages.filter((stage) => stage.name === status.bottleneck);
  const share = hot.reduce((sum, stage) => sum + stage.recentBusy, 0) / Math.max(1, hot.length);
  find("bottleneck").textContent = hot.length
    ? `${status.bottleneck} sets the pace, busy ${percent(share)} of the last seconds` : "idle";
}

function showStatus(status) {
  find("state").textContent = status.state;
  find("state").className = `pill ${status.state === "ready" ? "ready" : ""}`;
  find("message").textContent = status.state === "ready" ? "" : status.message;
  find("model").textContent = status.model ?? "";
  find("uptime").textContent = `up ${duration(status.service.uptimeMilliseconds)}`;
  showFigures(status);
  showStages(status);
  timeline.bottleneck = status.bottleneck;
}

function showBatches(list) {
  find("batches").hidden = false;
  const items = list.map((batch) => {
    const { total, completed, failed } = batch.request_counts;
    const bar = element("progress", { max: Math.max(1, total), value: completed + failed, "aria-label": `${completed + failed} of ${total} requests` });
    return element("li", {},
      element("div", { class: "row" }, element("strong", {}, batch.metadata?.name ?? batch.id), element("span", {}, batch.status.replace("_", " "))),
      bar,
      element("div", { class: "row quiet" }, element("span", {}, `${completed.toLocaleString("en")} of ${total.toLocaleString("en")} answered`),
        failed ? element("span", {}, `${failed.toLocaleString("en")} failed`) : ""));
  });
  find("batch-list").replaceChildren(...(items.length ? items : [element("li", { class: "quiet" }, "None yet: POST /v1/batches begins one.")]));
}

let hasBatches = true;
async function look() {
  try {
    const [status, history] = await Promise.all([ask("/v1/cluster"), ask("/v1/cluster/history?seconds=300")]);
    if (!status.ok) throw new Error(`${status.status}`);
    showStatus(await status.json());
    if (history.ok) charts.show(await history.json());
    if (!timeline.isPaused) {
      const trace = await ask(`/v1/cluster/trace?after=${timeline.cursor}`);
      if (trace.ok) timeline.add(await trace.json());
    }
    await lookAtVideos(ask);
    if (hasBatches) {
      const batches = await ask("/v1/batches?limit=20");
      hasBatches = batches.status !== 404 && batches.status !== 501;
      if (batches.ok) showBatches((await batches.json()).data);
    }
  } catch {
    find("state").textContent = "no answer";
    find("state").className = "pill lost";
    find("message").textContent = "the server does not answer; trying again";
  }
  setTimeout(look, document.hidden ? 5000 : 1000);
}

startTrying(ask);
look();
