import Jobs
import Messaging
import Pipelining
import Tokenization

/// How the service listens, and whom it lets in.
public struct HTTPConfiguration: Sendable {
  /// The address to bind, such as `127.0.0.1` or `::1`.
  public var host: String
  /// The port; 0 is a free one.
  public var port: Int
  /// Who may ask; nil lets everybody in who reaches the address.
  public var keys: APIKeys?
  /// Certificate and key; nil speaks plain HTTP.
  public var tls: TLSFiles?
  /// Where uploaded files, results and the state of batches are kept; nil serves neither.
  public var filesDirectory: String?
  /// Videos that may be opened beside uploaded files.
  public var videoSources = VideoAllowList()
  /// Every maximum.
  public var limits: HTTPLimits

  /// A configuration with the standard limits.
  public init(host: String, port: Int) {
    self.host = host
    self.port = port
    limits = HTTPLimits()
  }

  /// Whether only this machine reaches `host`.
  public var isLoopback: Bool {
    host == "localhost" || host == "::1" || host.hasPrefix("127.")
  }

  /// Reads `HOST:PORT`, `[IPv6]:PORT` or `:PORT`, which is every address.
  ///
  /// - Returns: nil for anything else.
  public static func address(_ text: String) -> (host: String, port: Int)? {
    guard let colon = text.lastIndex(of: ":"),
      let port = UInt16(text[text.index(after: colon)...])
    else { return nil }
    var host = String(text[..<colon])
    if host.hasPrefix("["), host.hasSuffix("]") {
      host = String(host.dropFirst().dropLast())
    } else if host.contains(":") {
      return nil
    }
    return (host.isEmpty ? "0.0.0.0" : host, Int(port))
  }
}

/// Where certificate chain and private key are, in PEM.
public struct TLSFiles: Sendable, Equatable {
  /// The server's certificate, then those that signed it.
  public var certificate: String
  /// Its private key, without a passphrase.
  public var key: String

  /// Names the files.
  public init(certificate: String, key: String) {
    self.certificate = certificate
    self.key = key
  }
}

/// What the service needs of the rest of the program.
public struct HTTPBackend: Sendable {
  /// Answers requests.
  public var service: any AnswerService
  /// Of the model that answers: log-probabilities show the texts of tokens.
  public var tokenizer: Tokenizer
  /// What clients call the model.
  public var model: String
  /// The cluster's state and figures, now.
  public var status: @Sendable () async -> Status
  /// What is measured of the engine, where it runs in this process; nil shows no timeline.
  public var telemetry: Telemetry?
  /// Fetches pictures by URL; nil fetches none.
  public var images: (any RemoteImageSource)?

  /// Serves `service` under the name `model`.
  public init(
    service: any AnswerService, tokenizer: Tokenizer, model: String,
    images: (any RemoteImageSource)? = nil, status: @escaping @Sendable () async -> Status
  ) {
    self.service = service
    self.tokenizer = tokenizer
    self.model = model
    self.images = images
    self.status = status
  }
}
