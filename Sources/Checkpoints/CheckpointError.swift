/// Why a checkpoint can't be used, and what to do about it.
public enum CheckpointError: Error, Equatable, Sendable, CustomStringConvertible {
  /// A file is missing or can't be read.
  case unreadable(path: String, reason: String)
  /// A file's content breaks its format.
  case malformed(path: String, reason: String)
  /// The checkpoint lacks a tensor that the model needs.
  case missingTensor(name: String, directory: String)
  /// A tensor has another shape or element type than the configuration says.
  case mismatch(name: String, reason: String)
  /// The checkpoint's weights are quantised otherwise than was asked for.
  case precision(directory: String, stored: String, asked: String)
  /// A file was cut off or written over since it was opened.
  case changed(path: String)
  /// A file can't be written.
  case unwritable(path: String, reason: String)
  /// A cache may not become as large as would be needed; `others` of it are bytes that others use.
  case cacheLimit(directory: String, needed: Int, others: Int, limit: Int)
  /// The disk of a cache has too little room.
  case cacheSpace(directory: String, needed: Int, free: Int)

  /// The cause, then the remedy.
  public var description: String {
    switch self {
    case .unreadable(let path, let reason):
      "cannot read \(path): \(reason); check the path given with --model and its permissions"
    case .malformed(let path, let reason):
      "\(path) is damaged or not what its name says: \(reason); copy or download it again"
    case .missingTensor(let name, let directory):
      "\(directory) has no tensor '\(name)'; is this a PaliGemma checkpoint, and are all its "
        + "safetensors files there? `palisade checkpoint inspect` lists what it holds"
    case .mismatch(let name, let reason):
      "tensor '\(name)' does not fit config.json: \(reason); config and weights must be of one model"
    case .precision(let directory, let stored, let asked):
      "the weights in \(directory) are \(stored), not \(asked); leave --precision out, or give the "
        + "checkpoint that they were quantised from"
    case .changed(let path):
      "\(path) has changed since it was opened; start what reads it again, and let a new file take "
        + "the place of an old one by renaming (mv), never by writing over it"
    case .unwritable(let path, let reason):
      "cannot write \(path): \(reason); check free space (df) and permissions"
    case .cacheLimit(let directory, let needed, let others, let limit):
      "the stage's weights take \(needed >> 20) MiB, "
        + (others > 0 ? "others in use take \(others >> 20) MiB, " : "")
        + "and the cache \(directory) may have \(limit >> 20) MiB; "
        + "raise --cache-limit, or give more workers a part of the model"
    case .cacheSpace(let directory, let needed, let free):
      "\(needed >> 20) MiB of weights are to come and the disk of \(directory) has \(free >> 20) MiB "
        + "free; make room, or name a folder on another disk with --cache"
    }
  }
}
