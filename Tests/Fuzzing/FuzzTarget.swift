import Checkpoints
import Foundation
import Imaging
import Messaging
import PaliGemma
import Tensors
import Tokenization

/// A reader of bytes from outside, to be given any bytes whatever. A trap ends the process, which is
/// how libFuzzer and a test both see it.
public enum FuzzTarget: String, CaseIterable, Sendable {
  /// Messages of the wire: the first two bytes say how long the header frame is.
  case stage, control, client, server, model
  /// Files of a checkpoint.
  case safetensors, gguf, npz, config, tokenizerModel, tokenizerJSON
  /// Encoded pictures, and COCO's run lengths.
  case image, mask
  /// Answers with `<loc>` and `<seg>`.
  case detection
  /// The list of keys that are let in.
  case allowList
  /// Lines of a batch file; the first byte says whether files of this machine may be named.
  case jsonl
  /// Bodies of `/v1/chat/completions` and `/v1/completions`; the first byte says which.
  case completion

  /// What came of some bytes.
  public enum Outcome: Equatable, Sendable {
    /// They were read.
    case accepted
    /// They were refused, with an error.
    case refused
    /// They were read, and what came of it breaks a promise.
    case broken(String)
  }

  /// Reads `bytes`.
  public func run(_ bytes: [UInt8]) -> Outcome {
    do { return try read(bytes) ?? .accepted } catch { return .refused }
  }

  private func read(_ bytes: [UInt8]) throws -> Outcome? {
    switch self {
    case .stage: try Self.wire(StageMessage.self, bytes)
    case .control: try Self.wire(ControlMessage.self, bytes)
    case .client: try Self.wire(ClientMessage.self, bytes)
    case .server: try Self.wire(ServerMessage.self, bytes)
    case .model: try Self.wire(ModelMessage.self, bytes)
    case .safetensors: try Self.safetensors(bytes)
    case .gguf: try Self.gguf(bytes)
    case .npz: try Self.npz(bytes)
    case .config:
      try Scratch.with([("config.json", bytes)]) { folder -> Outcome? in
        _ = try ModelConfig(directory: folder)
        return nil
      }
    case .tokenizerModel:
      try Scratch.with([("tokenizer.model", bytes)]) { try Self.tokenize(in: $0) }
    case .tokenizerJSON:
      try Scratch.with([("tokenizer.model", Self.smallModel), ("tokenizer.json", bytes)]) {
        try Self.tokenize(in: $0)
      }
    case .image: try Self.image(bytes)
    case .mask: try Self.mask(bytes)
    case .detection: Self.detection(bytes)
    case .allowList: try Self.allowList(bytes)
    case .jsonl: try Self.jsonl(bytes)
    case .completion: try Self.completion(bytes)
    }
  }

  /// What is read can be written, and is then within the limits of the wire again.
  private static func wire<Message: WireMessage>(
    _ type: Message.Type, _ bytes: [UInt8]
  ) throws -> Outcome? {
    let message = try Message.decode(frames(bytes))
    do { _ = try Message.decode(message.encode()) } catch {
      return .broken("was read, but can't be written and read again: \(error)")
    }
    return nil
  }

  /// Two bytes for the header's length, the header, and the rest as one frame more.
  static func frames(_ bytes: [UInt8]) -> [Frame] {
    guard bytes.count >= 2 else { return [] }
    let length = min(Int(bytes[0]) | Int(bytes[1]) << 8, bytes.count - 2)
    let rest = bytes[(2 + length)...]
    let header = Frame(bytes: Array(bytes[2..<2 + length]))
    return rest.isEmpty ? [header] : [header, Frame(bytes: Array(rest))]
  }

  private static func safetensors(_ bytes: [UInt8]) throws -> Outcome? {
    try Scratch.with([("a.safetensors", bytes)]) { folder in
      let file = try SafetensorsFile(path: folder + "/a.safetensors")
      var total = 0
      for name in file.entries.keys {
        guard let tensor = file.tensor(name) else { return .broken("'\(name)' is not there") }
        // Every byte that a tensor claims can be touched.
        total += tensor.withBytes { $0.reduce(0) { $0 &+ Int($1) } }
      }
      return total < 0 ? .broken("a sum of bytes is negative") : nil
    }
  }

  private static func npz(_ bytes: [UInt8]) throws -> Outcome? {
    try Scratch.with([("a.npz", bytes)]) { folder in
      let names: Set = ["f4", "turned", "f2", "u1", "i4", "i8", "none"]
      let file = try NPZFile(path: folder + "/a.npz", names: names)
      for (name, tensor) in file.tensors
      where tensor.byteCount != tensor.withBytes({ $0.count }) {
        return .broken("'\(name)' has another size than its shape")
      }
      return nil
    }
  }

  private static func tokenize(in folder: String) throws -> Outcome? {
    let tokenizer = try Tokenizer(folder: URL(filePath: folder), specialTokens: nil)
    let ids = try tokenizer.encode("a cat <loc0001> ä\n")
    _ = tokenizer.decode(ids)
    return nil
  }

  private static func image(_ bytes: [UInt8]) throws -> Outcome? {
    let limits = ImageLimits(pixelCount: 1 << 20, byteCount: 1 << 20)
    let picture = try Picture.decode(bytes, limits: limits)
    guard picture.width >= 1, picture.height >= 1,
      picture.width * picture.height <= limits.pixelCount,
      picture.rgb.count == 3 * picture.width * picture.height
    else { return .broken("a picture of \(picture.width) x \(picture.height)") }
    return nil
  }

  /// Two bytes for the sides, then COCO's string.
  private static func mask(_ bytes: [UInt8]) throws -> Outcome? {
    guard bytes.count > 2 else { return .refused }
    let (width, height) = (Int(bytes[0]), Int(bytes[1]))
    let text = String(decoding: bytes[2...], as: UTF8.self)
    let mask = try RunLengthMask(cocoString: text, width: width, height: height)
    let again = try RunLengthMask(cocoString: mask.cocoString, width: width, height: height)
    return again.counts == mask.counts ? nil : .broken("written, it is another")
  }

  private static func detection(_ bytes: [UInt8]) -> Outcome? {
    guard let found = DetectionParser.parse(text: String(decoding: bytes, as: UTF8.self)) else {
      return .refused
    }
    for box in found.boxes {
      guard box.yxyx.count == 4, box.yxyx.allSatisfy({ (0..<1024).contains($0) }),
        box.segments.map({ $0.count == 16 && $0.allSatisfy { (0..<128).contains($0) } }) ?? true
      else { return .broken("a box \(box)") }
    }
    return nil
  }

  private static func allowList(_ bytes: [UInt8]) throws -> Outcome? {
    let list = try AllowList(text: String(decoding: bytes, as: UTF8.self))
    guard try AllowList(text: list.text) == list else { return .broken("written, it is another") }
    return nil
  }

  private static let smallModel: [UInt8] = {
    let file = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appending(path: "TokenizationTests/Fixtures/paligemma/tokenizer.model")
    return (try? [UInt8](Data(contentsOf: file))) ?? []
  }()
}

/// Files that last as long as one reading.
enum Scratch {
  static func with<Result>(
    _ files: [(String, [UInt8])], _ body: (String) throws -> Result
  ) throws -> Result {
    let base = FileManager.default.fileExists(atPath: "/dev/shm") ? "/dev/shm" : "/tmp"
    let folder = "\(base)/palisade-fuzz-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    for (name, bytes) in files { try Data(bytes).write(to: URL(filePath: "\(folder)/\(name)")) }
    return try body(folder)
  }
}
