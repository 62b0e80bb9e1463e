import Foundation
import Jobs
import Messaging
import NIOPosix
import Synchronization

/// One batch under way: where its files are, and how far it is.
final class BatchExecution: Sendable {
  /// The batch.
  let id: String
  /// The file of requests.
  let input: String
  /// Where its results and its journal grow.
  let folder: String
  private let progress: Mutex<BatchRecord.Counts>

  init(id: String, input: String, folder: String, counts: BatchRecord.Counts) {
    self.id = id
    self.input = input
    self.folder = folder
    progress = Mutex(counts)
  }

  /// Results.
  var output: String { folder + "/output.jsonl" }
  /// Lines that failed.
  var errors: String { BatchRunner.errorsPath(for: output) }
  /// How far it is.
  var counts: BatchRecord.Counts { progress.withLock { $0 } }

  /// Notes how many requests there are.
  func setTotal(_ total: Int) { progress.withLock { $0.total = total } }

  /// Notes how many are done.
  private func update(_ batch: BatchProgress) {
    progress.withLock {
      $0.completed = batch.succeeded
      $0.failed = batch.failed
    }
  }

  /// Whether a file is there with something in it.
  func hasContent(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_size > 0
  }

  /// Lines of the input that aren't blank.
  func countLines() async throws -> Int {
    let input = input
    return try await NIOThreadPool.singleton.runIfActive {
      guard let file = FileHandle(forReadingAtPath: input) else {
        throw Failure(code: "file_not_found", message: "the input file was deleted")
      }
      defer { try? file.close() }
      var count = 0
      var isBlank = true
      while let chunk = try file.read(upToCount: 1 << 20), !chunk.isEmpty {
        for byte in chunk {
          if byte == UInt8(ascii: "\n") {
            if !isBlank { count += 1 }
            isBlank = true
          } else if byte != 32 && byte != 9 && byte != 13 {
            isBlank = false
          }
        }
      }
      return isBlank ? count : count + 1
    }
  }

  /// Answers all of it, on from where an earlier start was.
  ///
  /// - Parameters:
  ///   - backend: answers, and fetches pictures.
  ///   - seconds: how long a cluster without workers is waited for; the batch expires by itself.
  /// - Returns: how it ended.
  /// - Throws: when the run as a whole fails; another one goes on where it ended.
  func run(_ backend: HTTPBackend, patience seconds: Int) async throws -> BatchSummary {
    try DurableFile.makeFolder(folder)
    var configuration = BatchRunner.Configuration(input: input, output: output)
    configuration.readsLocalFiles = false
    configuration.remoteImages = backend.images
    configuration.job = id
    configuration.model = await backend.status().model
    configuration.patience = .seconds(seconds)
    configuration.roomInCluster = {
      let window = await backend.status().batchWindow
      return window > 0 ? window : nil
    }
    let summary = try await BatchRunner(configuration, service: backend.service).run(
      onResult: { _, progress in update(progress) }, onTick: { update($0) })
    update(summary.progress)
    return summary
  }
}
