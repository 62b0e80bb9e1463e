import Messaging

extension Status {
  /// The cluster's own figures, as Prometheus reads them.
  func write(to text: inout MetricsText) {
    text.single("palisade_ready", "gauge", "1 when requests are answered.", isReady ? 1 : 0)
    writeService(to: &text)
    writeShares(to: &text)
    writeGauges(to: &text)
    writeCounters(to: &text)
  }

  private func perStage(
    _ text: inout MetricsText, _ name: String, _ type: String, _ help: String,
    _ value: (StageStatus) -> Double
  ) {
    text.family(name, type, help)
    for stage in stages {
      text.sample(name, [("stage", stage.name), ("worker", stage.worker)], value(stage))
    }
  }

  /// Requests from everywhere, HTTP or not.
  private func writeService(to text: inout MetricsText) {
    text.single(
      "palisade_requests_waiting", "gauge", "Requests that wait to be let into the pipeline.",
      Double(service.waiting))
    text.single(
      "palisade_requests_in_flight", "gauge", "Requests in the pipeline.",
      Double(service.inFlight))
    text.family("palisade_requests_total", "counter", "Requests that ended, by how.")
    text.sample("palisade_requests_total", [("outcome", "answered")], Double(service.succeeded))
    text.sample("palisade_requests_total", [("outcome", "failed")], Double(service.failed))
    text.single(
      "palisade_generated_tokens_total", "counter", "Tokens generated.", Double(service.tokens))
    text.single(
      "palisade_answered_pictures_total", "counter", "Pictures of requests answered.",
      Double(service.images))
  }

  private func writeShares(to text: inout MetricsText) {
    perStage(&text, "palisade_stage_busy_share", "gauge", "Share of the last seconds computing.") {
      $0.recentBusyShare
    }
    perStage(
      &text, "palisade_stage_bubble_share", "gauge",
      "Share of the last seconds with requests under way and nothing to compute."
    ) { $0.bubbleShare }
    text.family("palisade_bottleneck", "gauge", "1 for the stage that sets the pace.")
    for name in Set(stages.map(\.name)).sorted() {
      text.sample("palisade_bottleneck", [("stage", name)], name == bottleneck ? 1 : 0)
    }
  }

  private func writeGauges(to text: inout MetricsText) {
    perStage(&text, "palisade_stage_queue_length", "gauge", "Micro-batches that wait.") {
      Double($0.gauges.queueLength)
    }
    perStage(&text, "palisade_stage_waiting_tokens", "gauge", "Tokens that wait for their step.") {
      Double($0.gauges.waitingTokens)
    }
    perStage(&text, "palisade_worker_resident_bytes", "gauge", "Memory of the process.") {
      Double($0.gauges.residentBytes)
    }
    perStage(&text, "palisade_stage_weight_bytes", "gauge", "Weights held.") {
      Double($0.gauges.weightBytes)
    }
    perStage(&text, "palisade_stage_kv_cache_bytes", "gauge", "KV caches held.") {
      Double($0.gauges.cacheBytes)
    }
    perStage(&text, "palisade_stage_vision_cache_bytes", "gauge", "Picture rows kept.") {
      Double($0.gauges.visionCacheBytes)
    }
  }

  private func writeCounters(to text: inout MetricsText) {
    perStage(&text, "palisade_stage_busy_seconds_total", "counter", "Time spent computing.") {
      Double($0.counters.busyNanoseconds) / 1e9
    }
    perStage(&text, "palisade_stage_micro_batches_total", "counter", "Micro-batches computed.") {
      Double($0.counters.microBatches)
    }
    perStage(&text, "palisade_stage_prefill_rows_total", "counter", "Rows computed in prefill.") {
      Double($0.counters.prefillRows)
    }
    perStage(&text, "palisade_stage_decode_rows_total", "counter", "Rows computed in decode.") {
      Double($0.counters.decodeRows)
    }
    perStage(&text, "palisade_stage_received_bytes_total", "counter", "Bytes from stages.") {
      Double($0.receivedBytes)
    }
    perStage(&text, "palisade_stage_sent_bytes_total", "counter", "Bytes to stages.") {
      Double($0.sentBytes)
    }
    perStage(
      &text, "palisade_vision_cache_hits_total", "counter", "Pictures that needed no computing."
    ) { Double($0.counters.visionCacheHits) }
    perStage(
      &text, "palisade_vision_cache_misses_total", "counter", "Pictures that were computed."
    ) { Double($0.counters.visionCacheMisses) }
  }
}
