import ArgumentParser
import Foundation
import HTTPAPI
import Imaging
import Jobs
import Logging
import Messaging
import Pipelining
import Tokenization

/// The options of `palisade serve` about HTTP.
struct HTTPOptions: ParsableArguments {
  @Option(help: "Serve OpenAI's HTTP interface here, 127.0.0.1:8080; port 0 is a free one.")
  var http: String?
  @Option(help: "A file of API keys, one a line, that only its owner may read.")
  var apiKeyFile: String?
  @Option(help: "The server's certificate (chain) in PEM, to serve https.")
  var tlsCert: String?
  @Option(help: "Its private key in PEM.")
  var tlsKey: String?
  @Option(help: "Where uploaded files, results and batches are kept; without it neither is served.")
  var filesDirectory: String?
  @Option(help: "A host that pictures may be fetched from; may be given several times.")
  var allowImageHost: [String] = []
  @Option(
    help: """
      Videos that clients may have opened: a folder, PROTOCOL://HOST[:PORT], or a protocol (rtsp, …) for \
      every host; may be given several times. Without it only uploaded ones.
      """)
  var allowVideo: [String] = []
  @Option(help: "What clients call the model.")
  var modelName: String = "paligemma"
  @Option(help: "Write the service's URL, with the real port, to this file once listening.")
  var httpFile: String?
  @Option(help: "Requests under way at once over HTTP; more are refused with 429.")
  var maxRequests: Int = HTTPLimits().requests
  @Option(help: "Seconds that a request over HTTP may take.")
  var requestTimeout: Int = HTTPLimits().requestSeconds
  @Option(help: "Megabytes that the body of a request may have.")
  var maxBody: Int = HTTPLimits().bodyByteCount >> 20

  func validate() throws {
    guard let http else {
      let others = [apiKeyFile, tlsCert, tlsKey, filesDirectory, httpFile].compactMap { $0 }
      guard others.isEmpty, allowImageHost.isEmpty, allowVideo.isEmpty else {
        throw ValidationError("options about HTTP need --http ADDRESS, 127.0.0.1:8080 for instance")
      }
      return
    }
    guard HTTPConfiguration.address(http) != nil else {
      throw ValidationError("--http takes HOST:PORT, 127.0.0.1:8080 for instance, not '\(http)'")
    }
    guard (tlsCert == nil) == (tlsKey == nil) else {
      throw ValidationError("--tls-cert and --tls-key go together")
    }
    guard (1...4096).contains(maxRequests) else {
      throw ValidationError("--max-requests takes 1 to 4096")
    }
    guard (1...86_400).contains(requestTimeout) else {
      throw ValidationError("--request-timeout takes 1 to 86400")
    }
    guard (1...HTTPLimits().bodyByteCount >> 20).contains(maxBody) else {
      throw ValidationError("--max-body takes 1 to \(HTTPLimits().bodyByteCount >> 20)")
    }
  }

  /// The limits asked for.
  var limits: HTTPLimits {
    var limits = HTTPLimits()
    limits.requests = maxRequests
    limits.requestSeconds = requestTimeout
    limits.bodyByteCount = maxBody << 20
    return limits
  }

  /// What pictures that strangers send may cost.
  var imageLimits: ImageLimits {
    ImageLimits(
      pixelCount: limits.imagePixelCount, byteCount: JobLimits.requestImageByteCount)
  }

  /// How to listen, or nil when no HTTP is asked for. With `insecure` other machines may be served
  /// without API keys.
  ///
  /// - Throws: what is wrong with the keys; and an address that other machines reach without a key,
  ///   unless that is said.
  func configuration(insecure: Bool) throws -> HTTPConfiguration? {
    guard let http, let address = HTTPConfiguration.address(http) else { return nil }
    var configuration = HTTPConfiguration(host: address.host, port: address.port)
    configuration.limits = limits
    configuration.keys = try apiKeyFile.map { try APIKeys(file: $0) }
    if let tlsCert, let tlsKey {
      configuration.tls = TLSFiles(certificate: tlsCert, key: tlsKey)
    }
    configuration.filesDirectory = filesDirectory.map {
      URL(filePath: $0).standardizedFileURL.path(percentEncoded: false)
    }
    configuration.videoSources = try VideoAllowList(allowVideo)
    if configuration.keys == nil {
      guard configuration.isLoopback || insecure else {
        throw CommandFailure(
          "\(http) is reached by other machines: give --api-key-file FILE, or say --insecure")
      }
      Terminal.note(
        configuration.isLoopback
          ? "serve: without --api-key-file everybody on this machine may ask"
          : "serve: INSECURE: everybody who reaches \(http) may ask")
    }
    if configuration.tls == nil, !configuration.isLoopback {
      Terminal.note("serve: without --tls-cert keys and pictures travel in the clear")
    }
    return configuration
  }

  /// The service, or nil when none is asked for.
  ///
  /// - Throws: what is wrong with certificate, folder or hosts.
  func server(
    _ configuration: HTTPConfiguration?, service: any AnswerService, tokenizer: Tokenizer,
    telemetry: Telemetry
  ) throws -> HTTPServer? {
    guard let configuration else { return nil }
    let hosts = try RemoteImageHosts(allowImageHost)
    var logger = Logger(label: "palisade.http") { StreamLogHandler.standardError(label: $0) }
    logger.logLevel = .warning
    var backend = HTTPBackend(
      service: service, tokenizer: tokenizer, model: modelName,
      images: hosts.isEmpty ? nil : RemoteImages(hosts: hosts)
    ) { telemetry.status }
    backend.telemetry = telemetry
    return try HTTPServer(configuration, backend: backend, logger: logger)
  }

  /// Says where the service is, to people and to whoever waits for the file.
  func announce(port: Int) {
    guard let http, let address = HTTPConfiguration.address(http) else { return }
    let host = address.host.contains(":") ? "[\(address.host)]" : address.host
    let url = "\(tlsCert == nil ? "http" : "https")://\(host):\(port)"
    Terminal.note("serve: HTTP at \(url)")
    guard let httpFile else { return }
    // Written whole or not at all: somebody may be watching for it.
    do { try Data((url + "\n").utf8).write(to: URL(filePath: httpFile), options: .atomic) } catch {
      Terminal.note("serve: cannot write \(httpFile); check its folder and permissions")
    }
  }
}
