// The Gantt picture of the pipeline: a lane per worker, a bar per micro-batch, gaps where nothing was computed.
const laneHeight = 30;
const laneGap = 8;
const axisHeight = 22;
const labelWidth = 132;
/** Spans come with heartbeats, every half second, and are asked for every second: the picture stands so far behind. */
const delay = 1600;
const countMaximum = 20000;

export class Timeline {
  constructor(canvas, tip) {
    Object.assign(this, { canvas, tip, seconds: 3, bottleneck: "", cursor: 0, isPaused: false });
    this.tracks = [];
    this.spans = [];
    this.offset = null; // server's clock minus this page's, in milliseconds
    this.readColours();
    canvas.addEventListener("mousemove", (event) => this.showTip(event));
    canvas.addEventListener("mouseleave", () => { tip.hidden = true; });
    const isCalm = matchMedia("(prefers-reduced-motion: reduce)");
    let last = 0;
    const draw = (now) => {
      // 30 pictures a second; one, where motion is unwanted.
      if (now - last > (isCalm.matches ? 1000 : 33)) { last = now; this.draw(); }
      requestAnimationFrame(draw);
    };
    requestAnimationFrame(draw);
  }

  readColours() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    this.colours = Object.fromEntries(["prefill", "decode", "ink", "quiet", "line", "lane", "hatch", "hot", "surface"].map((name) => [name, colour(name)]));
    this.hatching = null;
  }

  togglePause() {
    this.isPaused = !this.isPaused;
    this.pausedAt = this.isPaused ? this.now() : null;
    return this.isPaused;
  }

  /** Takes what is new: {nowMilliseconds, cursor, tracks, spans: [[worker, phase, start, wait, busy, send, requests, rows, queue, name]]}. */
  add(trace) {
    if (trace.cursor < this.cursor) this.spans = []; // another server
    this.cursor = trace.cursor;
    if (JSON.stringify(this.tracks) !== JSON.stringify(trace.tracks)) {
      this.tracks = trace.tracks;
      this.spans = this.spans.filter((span) => this.tracks.some((track) => track.worker === span.worker));
    }
    // The smallest difference is the one with the least delay on the way.
    const offset = trace.nowMilliseconds - performance.now();
    this.offset = this.offset === null || Math.abs(offset - this.offset) > 500 ? offset : Math.max(this.offset, offset);
    for (const [worker, phase, start, wait, busy, send, requests, rows, queue, name] of trace.spans) {
      this.spans.push({ worker, phase, start, wait, busy, send, requests, rows, queue, name });
    }
    const oldest = trace.nowMilliseconds - 40000;
    this.spans = this.spans.filter((span) => span.start + span.busy > oldest).slice(-countMaximum);
    this.describe();
  }

  now() { return performance.now() + (this.offset ?? 0) - delay; }

  /** For those who can't see the picture. */
  describe() {
    const end = this.now();
    const parts = this.tracks.map((track) => {
      const busy = this.spans.filter((span) => span.worker === track.worker)
        .reduce((sum, span) => sum + Math.max(0, Math.min(end, span.start + span.busy) - Math.max(end - 3000, span.start)), 0);
      return `${track.stageName} ${Math.round(busy / 30)} percent`;
    });
    this.canvas.setAttribute("aria-label", `Micro-batches of each stage; computing in the last 3 seconds: ${parts.join(", ") || "nothing"}`);
  }

  draw() {
    const { canvas, colours } = this;
    const ratio = window.devicePixelRatio || 1;
    const width = canvas.clientWidth;
    const height = Math.max(1, this.tracks.length) * (laneHeight + laneGap) + axisHeight;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.style.height = `${height}px`;
      [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
    }
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    context.font = "12.5px system-ui, 'DejaVu Sans', sans-serif";
    context.textBaseline = "middle";
    if (!this.tracks.length) {
      context.fillStyle = colours.quiet;
      context.fillText("Nothing was computed yet.", 4, laneHeight / 2);
      return;
    }
    const end = this.pausedAt ?? this.now();
    const start = end - this.seconds * 1000;
    const scale = (width - labelWidth) / (end - start);
    this.hatching ??= this.hatch(context);
    this.tracks.forEach((track, index) => {
      const top = index * (laneHeight + laneGap);
      const isHot = track.stageName === this.bottleneck;
      context.fillStyle = isHot ? colours.hot : colours.ink;
      context.fillText(this.fitted(context, `${isHot ? "▶ " : ""}${track.stageName}`), 0, top + 9);
      context.fillStyle = colours.quiet;
      context.fillText(this.fitted(context, track.workerName), 0, top + 23);
      context.fillStyle = colours.lane;
      context.fillRect(labelWidth, top, width - labelWidth, laneHeight);
      this.drawGaps(context, top, start, end, scale, width);
      for (const span of this.spans) {
        if (span.worker === track.worker && span.start + span.busy > start && span.start < end) {
          const left = labelWidth + Math.max(0, span.start - start) * scale;
          const right = labelWidth + (Math.min(end, span.start + span.busy) - start) * scale;
          context.fillStyle = span.phase === "prefill" ? colours.prefill : colours.decode;
          // A line of ground between neighbours, where there is room for one.
          const line = right - left > 3 ? 1 : 0;
          context.fillRect(left, top + (span.phase === "prefill" ? 2 : 6), Math.max(0.75, right - left - line), laneHeight - (span.phase === "prefill" ? 4 : 12));
        }
      }
    });
    this.drawAxis(context, height, width);
  }

  fitted(context, text) {
    let shown = text;
    while (shown.length > 1 && context.measureText(shown).width > labelWidth - 10) shown = `${shown.slice(0, -2)}…`;
    return shown;
  }

  /** Hatches the time in which some stage had work: what a bar does not cover of it is a bubble. */
  drawGaps(context, top, start, end, scale, width) {
    context.fillStyle = this.hatching;
    let left = null;
    let right = null;
    const paint = () => {
      if (left === null) return;
      const from = Math.max(left, start);
      const to = Math.min(right, end);
      if (to > from) context.fillRect(labelWidth + (from - start) * scale, top, Math.min((to - from) * scale, width), laneHeight);
    };
    for (const span of this.sorted(start)) {
      const spanEnd = span.start + span.busy + span.send;
      // Less than 50 ms between two bars is the way between stages, not the end of the work.
      if (left === null || span.start > right + 50) { paint(); [left, right] = [span.start, spanEnd]; } else right = Math.max(right, spanEnd);
    }
    paint();
  }

  sorted(start) {
    if (this.sortedFor !== this.spans) {
      this.sortedFor = this.spans;
      this.sortedSpans = [...this.spans].sort((a, b) => a.start - b.start);
    }
    return this.sortedSpans.filter((span) => span.start + span.busy > start);
  }

  hatch(context) {
    const tile = document.createElement("canvas");
    [tile.width, tile.height] = [6, 6];
    const pen = tile.getContext("2d");
    pen.strokeStyle = this.colours.hatch;
    pen.lineWidth = 1.5;
    for (const shift of [-6, 0, 6]) { pen.moveTo(shift, 6); pen.lineTo(shift + 6, 0); }
    pen.stroke();
    return context.createPattern(tile, "repeat");
  }

  drawAxis(context, height, width) {
    const top = height - axisHeight;
    context.fillStyle = this.colours.quiet;
    const steps = 5;
    for (let step = 0; step <= steps; step += 1) {
      const x = labelWidth + ((width - labelWidth) * step) / steps;
      const ago = (this.seconds * (steps - step)) / steps;
      const text = ago ? `−${ago < 1 || this.seconds < 5 ? ago.toFixed(1) : ago} s` : "now";
      context.textAlign = step === 0 ? "left" : step === steps ? "right" : "center";
      context.fillText(text, x, top + 10);
    }
    context.textAlign = "left";
  }

  showTip(event) {
    const bounds = this.canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - bounds.left, event.clientY - bounds.top];
    const track = this.tracks[Math.floor(y / (laneHeight + laneGap))];
    const end = this.pausedAt ?? this.now();
    const time = end - this.seconds * 1000 * (1 - (x - labelWidth) / (bounds.width - labelWidth));
    const slack = (this.seconds * 1000) / (bounds.width - labelWidth);
    const span = track && x >= labelWidth
      ? this.spans.find((one) => one.worker === track.worker && one.start - slack <= time && time <= one.start + one.busy + slack) : null;
    this.tip.hidden = !span;
    if (!span) return;
    this.tip.textContent = `${span.name}: ${span.phase}, ${span.requests} request${span.requests === 1 ? "" : "s"}, ${span.rows} rows\n`
      + `computed in ${span.busy.toFixed(1)} ms, waited ${span.wait.toFixed(1)} ms, ${span.queue} behind it`;
    this.tip.style.left = `${Math.min(x + 12, bounds.width - this.tip.offsetWidth)}px`;
    this.tip.style.top = `${y + 14}px`;
  }
}
