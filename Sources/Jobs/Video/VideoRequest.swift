import Messaging
import VideoFrames

/// What a client asks about a video, as JSON: the same words as the options of `palisade video`.
public struct VideoRequest: Decodable, Sendable {
  private enum Key: String, CodingKey {
    case source, file, prompt, every, policy, buffer, clip, stride, priority
    case skipDuplicates = "skip_duplicates"
    case maximumTokens = "max_tokens"
  }

  /// What to read, as it was written; nil for an uploaded file.
  public let source: String?
  /// The id of an uploaded file.
  public let file: String?
  /// The prompt as the model sees it.
  public let prompt: String
  /// Tokens of an answer at most; nil for the usual number.
  public let maximumTokens: Int?
  private let grammar: Grammar?
  private let mode: VideoSessionOptions.Mode
  private let feed: FeedOptions
  private let priority: Handling.Priority?

  /// Reads the fields.
  ///
  /// - Throws: `DecodingError` for a wrong type, `Failure` for a wrong value.
  public init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: Key.self)
    source = try fields.decodeIfPresent(String.self, forKey: .source)
    file = try fields.decodeIfPresent(String.self, forKey: .file)
    guard (source == nil) != (file == nil) else {
      throw Self.refuse("give one of source (an address) and file (the id of an uploaded video)")
    }
    let task = try TaskFields(from: decoder)
    prompt = try task.prompt(fields.decodeIfPresent(String.self, forKey: .prompt) ?? "")
    grammar = try task.grammar(of: prompt)
    maximumTokens = try fields.decodeIfPresent(Int.self, forKey: .maximumTokens)
    guard (maximumTokens ?? 1) >= 1 else { throw Self.refuse("max_tokens must be 1 or more") }
    mode = try Self.mode(fields)
    feed = try Self.feed(fields)
    switch try fields.decodeIfPresent(String.self, forKey: .priority) {
    case nil: priority = nil
    case "interactive": priority = .interactive
    case "batch": priority = .batch
    default: throw Self.refuse("priority must be \"interactive\" or \"batch\"")
    }
  }

  private static func mode(
    _ fields: KeyedDecodingContainer<Key>
  ) throws -> VideoSessionOptions.Mode {
    let stride = try fields.decodeIfPresent(Int.self, forKey: .stride)
    guard let count = try fields.decodeIfPresent(Int.self, forKey: .clip) else {
      guard stride == nil else { throw refuse("stride goes with clip") }
      return .frame
    }
    let maximum = VideoSessionOptions.Mode.frameCountMaximum
    guard (1...maximum).contains(count) else { throw refuse("clip must be 1 to \(maximum) frames") }
    guard (stride ?? count) >= 1 else { throw refuse("stride must be 1 or more") }
    return .clip(count: count, stride: stride ?? count)
  }

  private static func feed(_ fields: KeyedDecodingContainer<Key>) throws -> FeedOptions {
    var feed = FeedOptions()
    do throws(VideoError) {
      feed.sampling = try SamplingRule(Self.text(fields, .every) ?? "1s")
      feed.policy = try Self.text(fields, .policy).map { text throws(VideoError) in
        try BufferPolicy(text)
      }
    } catch { throw Failure(code: "invalid_request", message: "\(error.cause); \(error.remedy)") }
    feed.bufferedFrameCount = try fields.decodeIfPresent(Int.self, forKey: .buffer)
    if let difference = try fields.decodeIfPresent(Double.self, forKey: .skipDuplicates) {
      guard difference > 0, difference <= 1 else {
        throw refuse("skip_duplicates must be more than 0, up to 1")
      }
      feed.duplicates = DuplicateRule(difference: difference)
    }
    return feed
  }

  private static func text(_ fields: KeyedDecodingContainer<Key>, _ key: Key) -> String? {
    // Of another type it is no rule either, and refused as one.
    guard fields.contains(key) else { return nil }
    return (try? fields.decode(String.self, forKey: key)) ?? ""
  }

  private static func refuse(_ message: String) -> Failure {
    Failure(code: "invalid_request", message: message)
  }

  /// The session's options.
  public func options(for source: VideoSource, defaultTokens: Int) -> VideoSessionOptions {
    var options = VideoSessionOptions(prompt: prompt, source: source, feed: feed)
    options.mode = mode
    options.sampling.maximumTokens = maximumTokens ?? defaultTokens
    options.sampling.grammar = grammar
    if let priority { options.priority = priority }
    return options
  }
}
