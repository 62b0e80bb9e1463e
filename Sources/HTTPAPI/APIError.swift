import HTTPTypes
import Hummingbird
import Jobs
import Messaging
import NIOCore

/// A refusal in OpenAI's shape: `{"error": {message, type, param, code}}`.
public struct APIError: Error, Sendable, Equatable {
  /// The HTTP status.
  public var status: HTTPResponse.Status
  /// For programs, such as `model_not_found`.
  public var code: String
  /// For people: cause and remedy.
  public var message: String
  /// The field that is wrong, if one is.
  public var parameter: String?
  /// Seconds after which the same request may succeed.
  public var retryAfterSeconds: Int?

  /// Makes a refusal.
  public init(
    _ status: HTTPResponse.Status, code: String, message: String, parameter: String? = nil
  ) {
    self.status = status
    self.code = code
    self.message = message
    self.parameter = parameter
  }

  /// OpenAI's word for the kind of error.
  var type: String {
    switch status.code {
    case 401: "authentication_error"
    case 403: "permission_error"
    case 404: "not_found_error"
    case 429: "rate_limit_error"
    case 500...: "server_error"
    default: "invalid_request_error"
    }
  }

  /// The error as a JSON object, for bodies and for events of a stream.
  var json: JSONText {
    .object([
      "error": .object([
        "message": .string(message), "type": .string(type),
        "param": parameter.map(JSONText.string) ?? .null, "code": .string(code),
      ])
    ])
  }

  /// The response that carries it.
  var response: Response {
    var response = Response.json(json, status: status)
    if let seconds = retryAfterSeconds { response.headers[.retryAfter] = String(seconds) }
    return response
  }
}

extension APIError {
  /// A failure of the layers below. Codes not listed are about the request itself: 400.
  init(_ failure: Failure, limits: HTTPLimits) {
    let status: HTTPResponse.Status =
      switch failure.code {
      case "overloaded": .tooManyRequests
      case "cluster_not_ready", "worker_lost", "stopped", "out_of_memory", "messaging":
        .serviceUnavailable
      case "deadline_exceeded": .gatewayTimeout
      case "cancelled": .clientClosedRequest
      case "image_too_large", "line_too_long": .contentTooLarge
      case "remote_image_failed": .badGateway
      case "internal", "malformed_reply", "reply_too_large": .internalServerError
      default: .badRequest
      }
    self.init(status, code: failure.code, message: failure.message)
    if status == .tooManyRequests || status == .serviceUnavailable {
      retryAfterSeconds = limits.retryAfterSeconds
    }
  }

  /// A wrong request.
  static func invalid(_ message: String, parameter: String? = nil) -> APIError {
    APIError(.badRequest, code: "invalid_request", message: message, parameter: parameter)
  }

  /// Nothing has this name.
  static func notFound(_ what: String) -> APIError {
    APIError(.notFound, code: "not_found", message: what)
  }
}

extension HTTPResponse.Status {
  /// nginx's status for a request that its own client gave up.
  static let clientClosedRequest = HTTPResponse.Status(
    code: 499, reasonPhrase: "Client Closed Request")
  /// WebDAV's status for a store that is full.
  static let insufficientStorage = HTTPResponse.Status(
    code: 507, reasonPhrase: "Insufficient Storage")
}

extension Response {
  /// A JSON body.
  static func json(_ json: JSONText, status: HTTPResponse.Status = .ok) -> Response {
    Response(
      status: status, headers: [.contentType: "application/json"],
      body: ResponseBody(byteBuffer: ByteBuffer(string: json.line + "\n")))
  }
}
