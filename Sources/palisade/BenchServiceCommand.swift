import ArgumentParser
import Foundation
import NIOCore

/// `palisade bench service`: many clients that stream, and what that costs.
struct BenchServiceCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "service",
    abstract: "Measure the HTTP service under many clients that stream, and a long batch.",
    discussion: """
      Starts a coordinator with --http and its workers on this machine, and clients in this process: \
      each sends a picture and a prompt as a stream, and again as soon as it has the answer. Memory is \
      the coordinator's, from --warm-up seconds on. CPU is by kind of thread: NIO's event loops are \
      HTTP's reading and writing, the cooperative pool decodes pictures, tokens and JSON. With \
      --batch-lines a batch of so many lines runs over the same cluster, and the peak memory of \
      coordinator and batch is taken.
      """)

  @Option(help: "The model's folder.") var model = "cluster/demo/model"
  @Option(help: "A folder of pictures to ask about.") var images = "cluster/demo/images"
  @Option(help: "Clients at once.") var clients = 200
  @Option(help: "Seconds to measure.") var seconds = 60
  @Option(help: "Seconds before that, not measured.") var warmUp = 20
  @Option(help: "Workers: vision replicas + decoder shards.") var workers = "1+2"
  @Option(help: "Threads of each worker.") var threads = 1
  @Option(help: "Lines of a batch to run afterwards; 0 for none.") var batchLines = 0
  @Flag(help: "Print one JSON line.") var json = false

  func validate() throws {
    guard (1...1000).contains(clients) else { throw ValidationError("--clients takes 1 to 1000") }
    guard (1...86_400).contains(seconds) else {
      throw ValidationError("--seconds takes 1 to 86400")
    }
    guard (0...86_400).contains(warmUp) else { throw ValidationError("--warm-up takes 0 to 86400") }
    guard (1...64).contains(threads) else { throw ValidationError("--threads takes 1 to 64") }
    guard (0...10_000_000).contains(batchLines) else {
      throw ValidationError("--batch-lines takes 0 to 10000000")
    }
    guard ServeCommand.counts(workers) != nil else {
      throw ValidationError("--workers takes VISION+SHARDS, e.g. 1+2, not '\(workers)'")
    }
  }

  func run() async throws {
    guard let counts = ServeCommand.counts(workers) else { return }
    try LocalModel.checkFolder(model)
    let pictures = try pictures()
    let cluster = try await BenchCluster(
      model: model, vision: counts.vision, shards: counts.shards, threads: threads, hasHTTP: true,
      // A client that waits for room measures the room.
      serveOptions: ["--max-requests", "\(clients)"])
    defer { cluster.end() }
    let stop = Task {
      try await measure(cluster, pictures)
    }
    Interruption.install { _ in stop.cancel() }
    let report = try await stop.value
    try Terminal.result(json ? try report.json : report.text)
  }

  private func measure(
    _ cluster: BenchCluster, _ pictures: [URL]
  ) async throws -> ServiceBenchReport {
    let prompts = ["caption en", "detect green square", "count circles"]
    let bodies = try pictures.flatMap { file in
      let type = file.pathExtension == "png" ? "image/png" : "image/jpeg"
      let content = try Data(contentsOf: file)
      return try prompts.map {
        try ServiceLoad.body(picture: content, type: type, prompt: $0)
      }
    }.shuffled()
    let load = ServiceLoad(clients: clients, url: cluster.url, bodies: bodies)
    if warmUp > 0 { _ = await load.run(for: .seconds(warmUp)) }
    try Task.checkCancellation()
    var report = ServiceBenchReport(clients: clients, workers: workers)
    let meter = ProcessMeter(pid: cluster.coordinator)
    let workerMeters = cluster.workers.map { ProcessMeter(pid: $0) }
    let before = (cpu: meter.cpuSeconds, workers: workerMeters.map(\.cpuSeconds))
    let start = ContinuousClock.now
    let watch = Task {
      var samples = [meter.residentBytes]
      while !Task.isCancelled {
        try? await Task.sleep(for: .seconds(1))
        samples.append(meter.residentBytes)
      }
      return samples
    }
    report.result = await load.run(for: .seconds(seconds))
    watch.cancel()
    report.residentBytes = await watch.value
    report.seconds = start.duration(to: .now) / .seconds(1)
    report.cpuSeconds = meter.cpuSeconds.map { ($0.key, $0.value - (before.cpu[$0.key] ?? 0)) }
      .reduce(into: [:]) { $0[$1.0] = $1.1 }
    report.workerCPUSeconds = zip(workerMeters, before.workers).reduce(0) { sum, pair in
      sum + pair.0.cpuSeconds.values.reduce(0, +) - pair.1.values.reduce(0, +)
    }
    if batchLines > 0 { report.batch = try await batch(cluster, pictures) }
    return report
  }

  /// Runs a long batch over the cluster.
  private func batch(
    _ cluster: BenchCluster, _ pictures: [URL]
  ) async throws -> ServiceBenchReport.Batch {
    let input = cluster.folder.appending(path: "in.jsonl")
    var text = ""
    for line in 0..<batchLines {
      let picture = URL(
        filePath: pictures[line % pictures.count].path(percentEncoded: false)
      ).absoluteURL.path(percentEncoded: false)
      let object = ["custom_id": "line-\(line)", "image": picture, "prompt": "count circles"]
      text +=
        String(
          decoding: try JSONSerialization.data(withJSONObject: object, options: .sortedKeys),
          as: UTF8.self) + "\n"
    }
    try text.write(to: input, atomically: true, encoding: .utf8)
    text = ""
    let output = cluster.folder.appending(path: "out.jsonl").path(percentEncoded: false)
    let start = ContinuousClock.now
    let process = try BenchCluster.start(
      [
        "batch", input.path(percentEncoded: false), "--output", output, "--coordinator",
        cluster.endpoint,
      ], in: cluster.folder)
    var report = ServiceBenchReport.Batch(lines: batchLines)
    let (coordinator, client) = (
      ProcessMeter(pid: cluster.coordinator), ProcessMeter(pid: process.processIdentifier)
    )
    while process.isRunning {
      if Task.isCancelled { process.terminate() }
      report.coordinatorBytes = max(report.coordinatorBytes, coordinator.residentBytes)
      report.batchBytes = max(report.batchBytes, client.peakBytes)
      try? await Task.sleep(for: .milliseconds(200))
    }
    report.seconds = start.duration(to: .now) / .seconds(1)
    report.exitCode = process.terminationStatus
    return report
  }

  private func pictures() throws -> [URL] {
    let folder = URL(filePath: images, directoryHint: .isDirectory)
    let found = try? FileManager.default.contentsOfDirectory(
      at: folder, includingPropertiesForKeys: nil)
    let pictures = (found ?? []).filter { ["png", "jpg", "jpeg"].contains($0.pathExtension) }
      .sorted { $0.path() < $1.path() }.prefix(32)
    guard !pictures.isEmpty else {
      throw CommandFailure("there are no PNG or JPEG pictures in \(images); give --images FOLDER")
    }
    return Array(pictures)
  }
}
