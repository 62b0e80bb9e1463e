import Messaging

/// Fetches pictures that a request names by an http or https address, from hosts that the user allows.
public protocol RemoteImageSource: Sendable {
  /// The encoded picture at `url`.
  ///
  /// - Throws: a failure with cause and remedy: an address or host that isn't allowed, a picture that
  ///   is too large, a server that doesn't answer.
  func image(at url: String) async throws(Failure) -> EncodedImage
}
