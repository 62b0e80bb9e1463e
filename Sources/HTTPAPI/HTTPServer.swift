import Foundation
import Hummingbird
import HummingbirdCore
import HummingbirdTLS
import Logging
import Messaging
import NIOCore
import NIOSSL
import ServiceLifecycle

/// The HTTP service: answers OpenAI's clients, keeps their files and batches, and shows how it is.
public struct HTTPServer: Sendable {
  /// What the routes work with.
  let core: ServiceCore
  private let configuration: HTTPConfiguration
  private let server: HTTPServerBuilder
  private let logger: Logger

  /// Makes the service; nothing is bound yet.
  ///
  /// - Throws: `invalid_tls` when certificate or key can't be used, `files_directory` when the folder
  ///   for files can't.
  public init(
    _ configuration: HTTPConfiguration, backend: HTTPBackend,
    logger: Logger = Logger(label: "palisade.http")
  ) throws(Failure) {
    self.configuration = configuration
    self.logger = logger
    core = try ServiceCore(configuration: configuration, backend: backend, logger: logger)
    server = try Self.builder(configuration)
  }

  /// Serves until the task is cancelled or `stop` ends; what is under way has some seconds to finish.
  ///
  /// - Parameters:
  ///   - stop: returns when the server is to end.
  ///   - onListening: called once with the real port.
  /// - Throws: when the address can't be bound.
  public func run(
    until stop: @escaping @Sendable () async -> Void,
    onListening: @escaping @Sendable (_ port: Int) async -> Void
  ) async throws {
    let application = application { channel in
      await onListening(channel.localAddress?.port ?? configuration.port)
    }
    var group = ServiceGroupConfiguration(services: [application], logger: logger)
    group.maximumGracefulShutdownDuration = .seconds(configuration.limits.shutdownSeconds)
    let services = ServiceGroup(configuration: group)
    await core.start()
    try await withThrowingTaskGroup(of: Void.self) { tasks in
      tasks.addTask { try await services.run() }
      tasks.addTask {
        await stop()
        await core.stop()
        await services.triggerGracefulShutdown()
      }
      try await tasks.next()
      tasks.cancelAll()
    }
  }

  /// The application, for `run` and for tests.
  func application(
    onListening: @escaping @Sendable (any Channel) async -> Void = { _ in }
  ) -> some ApplicationProtocol {
    Application(
      router: HTTPRoutes.router(core), server: server,
      configuration: ApplicationConfiguration(
        address: .hostname(configuration.host, port: configuration.port), serverName: "palisade",
        availableConnectionsDelegate: MaximumAvailableConnections(
          configuration.limits.connections)),
      onServerRunning: onListening, logger: logger)
  }

  /// HTTP/1.1 with the watch on each connection, inside TLS if that was asked for.
  private static func builder(
    _ configuration: HTTPConfiguration
  ) throws(Failure) -> HTTPServerBuilder {
    let limits = configuration.limits
    let decoder = HTTP1Channel.Configuration.DecoderConfiguration(
      maxHeaderFieldSize: limits.headerByteCount, maxHeaderListSize: limits.headerByteCount)
    let plain = HTTPServerBuilder.http1(
      configuration: HTTP1Channel.Configuration(
        additionalChannelHandlers: [ConnectionWatch()],
        idleTimeout: .seconds(Int64(limits.idleSeconds)), httpDecoderConfiguration: decoder))
    guard let files = configuration.tls else { return plain }
    let tls = try TLSConfiguration(files)
    do {
      return try .tls(plain, tlsConfiguration: tls)
    } catch { throw Failure(code: "invalid_tls", message: "\(error)") }
  }
}

extension TLSConfiguration {
  /// Reads certificate and key, and checks that they belong together.
  fileprivate init(_ files: TLSFiles) throws(Failure) {
    func refuse(_ message: String) -> Failure { Failure(code: "invalid_tls", message: message) }
    let chain: [NIOSSLCertificateSource]
    let key: NIOSSLPrivateKey
    do {
      chain = try NIOSSLCertificate.fromPEMFile(files.certificate).map { .certificate($0) }
    } catch {
      throw refuse(
        "\(files.certificate) is no certificate in PEM that can be read: \(error)")
    }
    guard !chain.isEmpty else { throw refuse("\(files.certificate) has no certificate in PEM") }
    do { key = try NIOSSLPrivateKey(file: files.key, format: .pem) } catch {
      throw refuse(
        "\(files.key) is no private key in PEM, without a passphrase, that can be read: \(error)")
    }
    self = .makeServerConfiguration(certificateChain: chain, privateKey: .privateKey(key))
    do { _ = try NIOSSLContext(configuration: self) } catch {
      throw refuse(
        "the key in \(files.key) does not belong to the certificate in \(files.certificate)")
    }
  }
}
