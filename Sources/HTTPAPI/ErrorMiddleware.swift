import Hummingbird
import Logging
import Messaging
import NIOCore

/// Turns whatever is thrown below into OpenAI's shape; the outermost layer.
struct ErrorMiddleware: RouterMiddleware {
  typealias Context = HTTPContext
  let limits: HTTPLimits

  func handle(
    _ request: Request, context: HTTPContext,
    next: (Request, HTTPContext) async throws -> Response
  ) async throws -> Response {
    do { return try await next(request, context) } catch {
      let refusal = apiError(error, request: request, context: context)
      var response = refusal.response
      // What is left of the body isn't worth reading, however much it is.
      if refusal.status == .contentTooLarge || refusal.status == .requestTimeout {
        response.headers[.connection] = "close"
      }
      return response
    }
  }

  private func apiError(_ error: any Error, request: Request, context: HTTPContext) -> APIError {
    switch error {
    case let error as APIError: return error
    case let failure as Failure: return APIError(failure, limits: limits)
    case is NIOTooManyBytesError:
      return APIError(
        .contentTooLarge, code: "request_too_large",
        message: "the body has more than \(limits.bodyByteCount) bytes; send smaller pictures")
    case is CancellationError:
      return APIError(
        .clientClosedRequest, code: "cancelled", message: "the request was given up")
    case let error as HTTPError where error.status == .notFound:
      return .notFound(
        "there is no \(request.method.rawValue) \(request.uri.path.prefix(200)) here; see README.md"
      )
    case let error as HTTPError:
      return APIError(
        error.status, code: "invalid_request",
        message: error.body ?? error.status.reasonPhrase)
    default:
      // What it was stays in the log: it may name files and addresses.
      context.logger.error("\(request.method) \(request.uri.path): \(error)")
      return APIError(
        .internalServerError, code: "internal",
        message: "something went wrong inside; the server's log says what")
    }
  }
}
