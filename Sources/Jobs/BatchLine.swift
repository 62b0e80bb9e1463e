import Foundation
import Messaging

/// Where a request's picture comes from, as the batch file says it.
enum ImageSource: Sendable, Equatable {
  /// A `data:` URI's content type and base64.
  case base64(String)
  /// A file's path, absolute or relative to the batch file's folder.
  case file(String)
  /// An http or https address.
  case remote(String)

  /// Reads what stands in `image_url.url` or `image`.
  init(_ text: String) throws(Failure) {
    let scheme = text.prefix { $0 != ":" }.lowercased()
    switch scheme {
    case "http", "https": self = .remote(text)
    case "ftp", "s3", "gs":
      throw Failure(
        code: "remote_image",
        message: "\(scheme):// pictures are not fetched; download the picture, and give its path "
          + "or a data: URI")
    case "data": self = .base64(try Self.base64(of: text))
    case "file" where text.utf8.count > 5: self = .file(try Self.path(of: text))
    default:
      guard !text.isEmpty, !text.utf8.contains(0) else {
        throw Failure(code: "invalid_image_url", message: "the picture's path is empty or has NUL")
      }
      self = .file(text)
    }
  }

  /// What a client over HTTP gets that names a file of the server's.
  static let localFile = Failure(
    code: "local_image",
    message: "paths aren't read for clients over HTTP; send the picture as a data: URI")

  private static func base64(of uri: String) throws(Failure) -> String {
    guard let comma = uri.utf8.firstIndex(of: UInt8(ascii: ",")) else {
      throw Failure(code: "invalid_image_url", message: "the data: URI has no comma")
    }
    guard uri[..<comma].lowercased().hasSuffix(";base64") else {
      throw Failure(
        code: "invalid_image_url",
        message: "the data: URI is not base64; write data:image/jpeg;base64,...")
    }
    return String(uri[uri.utf8.index(after: comma)...])
  }

  private static func path(of uri: String) throws(Failure) -> String {
    let wrong = Failure(
      code: "invalid_image_url",
      message: "a file:// URI needs an absolute path on this machine, such as file:///data/a.jpg")
    var rest = uri.dropFirst("file:".count)
    if rest.hasPrefix("//") {
      rest = rest.dropFirst(2)
      if rest.hasPrefix("localhost/") { rest = rest.dropFirst("localhost".count) }
    }
    guard rest.hasPrefix("/"), let path = rest.removingPercentEncoding, !path.utf8.contains(0)
    else { throw wrong }
    return path
  }
}

/// One request of a batch file, parsed; its pictures are not loaded yet.
struct BatchRequest: Sendable, Equatable {
  var images: [ImageSource]
  var prompt: String
  /// Further prompts about the same pictures.
  var furtherPrompts: [Prompt] = []
  /// Whether the one picture may be a folder or a pattern, which stands for a request per picture.
  var mayExpand = false
  var sampling: Sampling
  /// What the line asks for; nil leaves it to the batch.
  var maximumTokens: Int?
  /// The model the line names, reported back; whatever it is, the loaded model answers.
  var model: String?
  /// The answer ends before the first of these.
  var stopTexts: [String] = []

  /// One of several prompts, with the form its answer must have.
  struct Prompt: Sendable, Equatable {
    var text: String
    var grammar: Grammar?
  }

  /// All prompts, in order.
  var prompts: [Prompt] { [Prompt(text: prompt, grammar: sampling.grammar)] + furtherPrompts }

  /// Whether a picture is a file of this machine.
  var hasLocalFiles: Bool {
    images.contains { if case .file = $0 { true } else { false } }
  }

  func defaulting(maximumTokens: Int) -> BatchRequest {
    var request = self
    request.sampling.maximumTokens = self.maximumTokens ?? maximumTokens
    return request
  }
}

/// What one line says.
struct BatchLine: Sendable {
  /// The line's own name; nil when it has none that can be read.
  let customID: String?
  /// The request, or what is wrong with the line.
  private(set) var request: Result<BatchRequest, Failure>

  /// Parses either form of the issue: OpenAI's batch line, or the short form.
  ///
  /// - Parameters:
  ///   - bytes: one line; nil for one that was too long.
  ///   - maximumTokens: for lines that give none.
  ///   - readsLocalFiles: whether pictures may be files of this machine; not for clients over HTTP.
  /// - Returns: the line, whatever is wrong with it.
  static func parse(
    _ bytes: [UInt8]?, maximumTokens: Int, readsLocalFiles: Bool = true
  ) -> BatchLine {
    guard let bytes else {
      return BatchLine(
        customID: nil,
        failure: Failure(
          code: "line_too_long",
          message: "the line has more than \(JobLimits.lineByteCount) bytes; give pictures as "
            + "paths instead of data: URIs"))
    }
    do {
      var line = try JSONDecoder().decode(LineFile.self, from: Data(bytes)).line
      line.request = line.request.map { $0.defaulting(maximumTokens: maximumTokens) }
      if !readsLocalFiles, case .success(let request) = line.request, request.hasLocalFiles {
        line.request = .failure(ImageSource.localFile)
      }
      return line
    } catch {
      return BatchLine(
        customID: nil,
        failure: Failure(
          code: "invalid_json", message: "the line is no JSON object: \(error.jsonReason)"))
    }
  }

  /// A line that cannot be asked.
  init(customID: String?, failure: Failure) {
    self.customID = customID
    request = .failure(failure)
  }

  /// What stands in a line whose `custom_id` is yet to be checked.
  init(reading customID: String?, _ request: Result<BatchRequest, Failure>) {
    let isUsable = customID.map { (1...JobLimits.customIDByteCount).contains($0.utf8.count) }
    self.customID = isUsable == true ? customID : nil
    self.request =
      switch isUsable {
      case true?: request
      case nil:
        .failure(
          Failure(
            code: "missing_custom_id",
            message: "the line has no custom_id that is a text; add one"))
      case false?:
        .failure(
          Failure(
            code: "invalid_custom_id",
            message: "custom_id is empty or longer than \(JobLimits.customIDByteCount) bytes"))
      }
  }
}

/// The line as a whole: finds its form, and keeps `custom_id` whatever else is wrong.
private struct LineFile: Decodable {
  let line: BatchLine

  private enum Key: String, CodingKey {
    case customID = "custom_id"
    case method, url, body, image, images, prompt, prompts
  }

  init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: Key.self)
    let customID = try? fields.decodeIfPresent(String.self, forKey: .customID)
    let isChat = fields.contains(.body) || fields.contains(.url) || fields.contains(.method)
    let isShort =
      [Key.image, .images, .prompt, .prompts].contains { fields.contains($0) }
    let request = Result<BatchRequest, Failure>.reading {
      if isChat && isShort {
        throw Failure(
          code: "invalid_request",
          message: "the line mixes two forms: give method, url and body, or image and prompt")
      }
      if isChat {
        let method = try fields.decodeIfPresent(String.self, forKey: .method)
        let url = try fields.decodeIfPresent(String.self, forKey: .url)
        guard method == nil || method == "POST" else {
          throw Failure(code: "invalid_method", message: "method must be POST")
        }
        guard url == nil || url == "/v1/chat/completions" else {
          throw Failure(
            code: "invalid_url", message: "only /v1/chat/completions is served in a batch")
        }
        try ChatBody.refuseInBatch(try fields.superDecoder(forKey: .body))
        return try fields.decode(ChatBody.self, forKey: .body).request
      }
      if isShort { return try ShortLine(from: decoder).request }
      throw Failure(
        code: "invalid_request",
        message: "the line has neither a body nor an image and a prompt; write "
          + #"{"custom_id": "1", "image": "a.jpg", "prompt": "caption en"}"#)
    }
    line = BatchLine(reading: customID, request)
  }
}

extension Result where Success == BatchRequest, Failure == Messaging.Failure {
  /// Runs `body`; a wrong JSON type becomes `invalid_request` with the place where it stands.
  fileprivate static func reading(_ body: () throws -> BatchRequest) -> Self {
    do { return .success(try body()) } catch let failure as Messaging.Failure {
      return .failure(failure)
    } catch {
      return .failure(Messaging.Failure(code: "invalid_request", message: error.jsonReason))
    }
  }
}

extension Error {
  /// A decoding error in words, with the path to the value.
  public var jsonReason: String {
    guard let error = self as? DecodingError else { return "it cannot be read" }
    func place(_ path: [any CodingKey]) -> String {
      let text = path.reduce("") { text, key in
        key.intValue.map { "\(text)[\($0)]" } ?? (text.isEmpty ? "" : text + ".") + key.stringValue
      }
      return text.isEmpty ? "the line" : text
    }
    switch error {
    case .keyNotFound(let key, let context):
      return "\(place(context.codingPath + [key])) is missing"
    case .valueNotFound(_, let context): return "\(place(context.codingPath)) is null"
    case .typeMismatch(_, let context): return "\(place(context.codingPath)) has the wrong type"
    case .dataCorrupted(let context):
      return context.codingPath.isEmpty
        ? "it is broken or not UTF-8" : "\(place(context.codingPath)) is out of range"
    @unknown default: return "it cannot be read"
    }
  }
}
