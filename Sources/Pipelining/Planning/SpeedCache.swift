import Foundation
import Messaging
import PaliGemma
import Tensors

/// What this machine measured before, in a file per model, CPU, precision and number of threads, so
/// that a worker that starts again needn't measure again.
///
/// The file is a convenience: one that can't be read, or says what can't be, is measured anew, and one
/// that can't be written is done without.
struct SpeedCache {
  let folder: String
  /// Changes when the way of measuring does.
  private static let version = "1"
  /// A machine changes: its memory, its neighbours, its kernel.
  private static let ageSeconds = 7 * 86_400.0

  /// The folder of this user's caches; nil where there is none.
  static var standard: SpeedCache? {
    let environment = ProcessInfo.processInfo.environment
    if let folder = environment["PALISADE_CACHE"] {
      return folder.isEmpty ? nil : SpeedCache(folder: folder)
    }
    return SpeedCache(folder: MachineFacts.cacheFolder)
  }

  /// What is known of this process with that model; nil when it must be measured.
  func speed(_ key: String) -> WorkerSpeed? {
    let path = self.path(key)
    let attributes = try? FileManager.default.attributesOfItem(atPath: path)
    guard let written = attributes?[.modificationDate] as? Date,
      Date.now.timeIntervalSince(written) < Self.ageSeconds,
      let size = attributes?[.size] as? Int, size < 1 << 16,
      let data = try? Data(contentsOf: URL(filePath: path)),
      let entry = try? JSONDecoder().decode(Entry.self, from: data), entry.key == key,
      // What can't be said on the wire can't have been measured.
      (try? ControlMessage.workerSpeed(entry.speed).encode()) != nil
    else { return nil }
    return entry.speed
  }

  /// Remembers it.
  func remember(_ speed: WorkerSpeed, _ key: String) {
    try? FileManager.default.createDirectory(
      atPath: folder, withIntermediateDirectories: true,
      attributes: [.posixPermissions: 0o700])
    guard let data = try? JSONEncoder().encode(Entry(key: key, speed: speed)) else { return }
    try? data.write(to: URL(filePath: path(key)), options: .atomic)
  }

  private struct Entry: Codable {
    let key: String
    let speed: WorkerSpeed
  }

  private func path(_ key: String) -> String {
    folder + "/speed-\(ShortName.of(key)).json"
  }

  /// Everything that the figures depend on, in words.
  static func key(fingerprint: String, precision: String, program: String) -> String {
    [
      version, fingerprint, precision, "\(Kernels.threadCount) threads", Kernels.instructionSet,
      MachineFacts.cpuModel, "\(ProcessInfo.processInfo.activeProcessorCount) cores", program,
    ].joined(separator: "|")
  }

  /// What is remembered, else what is measured now.
  ///
  /// - Throws: what `SpeedBench` throws.
  static func speed(
    of config: ModelConfig, fingerprint: String, precision: Precision, program: String,
    cache: SpeedCache? = .standard, isFresh: Bool = false
  ) throws -> WorkerSpeed {
    let key = key(fingerprint: fingerprint, precision: precision.rawValue, program: program)
    if !isFresh, var known = cache?.speed(key) {
      known.freeBytes = MachineFacts.freeBytes
      return known
    }
    let speed = try SpeedBench.measure(config, fingerprint: fingerprint, precision: precision)
    cache?.remember(speed, key)
    return speed
  }
}
