import Foundation

/// A folder that a checkpoint is being written into; knows what it wrote, to take it back.
struct CheckpointFolder {
  /// What may come with a tokenizer; only the first must be there.
  static let tokenizerFiles = [
    "tokenizer.model", "tokenizer.json", "tokenizer_config.json", "added_tokens.json",
    "special_tokens_map.json",
  ]
  /// Configuration files; only the first must be there.
  static let configurationFiles = [
    "config.json", "generation_config.json", "preprocessor_config.json", "processor_config.json",
  ]
  /// Beside the weights: headers, an index, configuration and tokenizer files (Gemma's two
  /// tokenizer files together have 22 MB).
  static let spareByteCount = 64 << 20

  let directory: String
  private let madeDirectory: Bool
  private var written: [String] = []

  /// Makes the folder where it is missing, and refuses one without room or with a checkpoint.
  init(directory: String, neededByteCount: Int) throws(SynthesisError) {
    self.directory = directory
    let files = FileManager.default
    madeDirectory = !files.fileExists(atPath: directory)
    do {
      try files.createDirectory(atPath: directory, withIntermediateDirectories: true)
      for name in try files.contentsOfDirectory(atPath: directory).sorted()
      where name == "config.json" || name.contains(".safetensors") {
        throw SynthesisError.occupied(directory: directory, file: name)
      }
    } catch let error as SynthesisError { throw error } catch {
      throw .unwritable(path: directory, reason: error.localizedDescription)
    }
    var space = statvfs()
    guard statvfs(directory, &space) == 0 else {
      throw .unwritable(path: directory, reason: String(cString: strerror(errno)))
    }
    let (free, overflow) = Int(space.f_bavail).multipliedReportingOverflow(by: Int(space.f_frsize))
    let needed = neededByteCount + Self.spareByteCount
    guard overflow || free >= needed else {
      removeWritten()
      throw .space(directory: directory, neededByteCount: needed, freeByteCount: free)
    }
  }

  /// The path for a file that somebody else writes.
  mutating func claim(_ name: String) -> String {
    written.append(name)
    return directory + "/" + name
  }

  /// Writes one small file.
  mutating func write(_ content: Data, as name: String) throws(SynthesisError) {
    let path = claim(name)
    do { try content.write(to: URL(filePath: path), options: .atomic) } catch {
      throw .unwritable(path: path, reason: error.localizedDescription)
    }
  }

  /// Copies the tokenizer's files; contents are not looked at.
  mutating func copyTokenizer(from source: String) throws(SynthesisError) {
    try copy(Self.tokenizerFiles, from: source)
  }

  /// Copies what says how the model is built and asked.
  mutating func copyConfiguration(from source: String) throws(SynthesisError) {
    try copy(Self.configurationFiles, from: source)
  }

  private mutating func copy(_ names: [String], from source: String) throws(SynthesisError) {
    for name in names {
      let path = source + "/" + name
      guard FileManager.default.fileExists(atPath: path) else { continue }
      let target = claim(name)
      do { try FileManager.default.copyItem(atPath: path, toPath: target) } catch {
        throw .unwritable(path: target, reason: error.localizedDescription)
      }
    }
  }

  /// Takes back what was written, so that no half checkpoint is left.
  func removeWritten() {
    for name in written {
      try? FileManager.default.removeItem(atPath: directory + "/" + name)
      try? FileManager.default.removeItem(atPath: directory + "/" + name + ".partial")
    }
    if madeDirectory { rmdir(directory) }
  }
}
