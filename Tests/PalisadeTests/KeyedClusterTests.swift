import Foundation
import Messaging
import Testing

/// A cluster with keys, as processes: strangers are turned away, and it goes on answering with the
/// same bytes. Serialized: every test fills both cores by itself.
@Suite(.serialized) struct KeyedClusterTests {
  private func answers(_ options: [String]) async throws -> Data {
    let folder = try Program.temporaryFolder()
    let output = folder.appending(path: "out.jsonl").path()
    let result = try await Program.run(
      [
        "batch", Program.demo + "/sample.jsonl", "--output", output, "--ordered",
      ] + options)
    #expect(result.status == 0, "\(options): \(result.errors)")
    return (try? Data(contentsOf: URL(filePath: output))) ?? Data()
  }

  private func newKeys() async throws -> KeyFolder {
    let path = try Program.temporaryFolder().appending(path: "keys").path()
    let made = try await Program.run(["keys", "init", path, "--worker", "gpu", "--client", "guest"])
    try #require(made.status == 0, "\(made.errors)")
    let keys = KeyFolder(path)
    let coordinator = try keys.key(for: .coordinator)
    #expect(made.output.contains(coordinator.keys.publicKey))
    #expect(!(made.output + made.errors).contains(coordinator.keys.secretKey))
    return keys
  }

  /// A copy of a key file that says something else than it should.
  private func forge(
    _ file: String, _ coordinators: [(KeyFile, KeyFile)] = [], role: (String, String)? = nil
  ) throws -> String {
    var text = try String(contentsOfFile: file, encoding: .utf8)
    for (old, new) in coordinators {
      text = text.replacing(old.keys.publicKey, with: new.keys.publicKey)
    }
    if let role { text = text.replacing("role \(role.0)", with: "role \(role.1)") }
    let path = try Program.temporaryFolder().appending(path: "forged.key").path()
    try Data(text.utf8).write(to: URL(filePath: path))
    chmod(path, 0o600)
    return path
  }

  /// A status that must find nobody to answer it.
  private func expectNoAnswer(
    _ endpoint: String, _ options: [String], _ what: String,
    _ advice: String = "`palisade keys list`"
  ) async throws {
    let status = try await Program.run(["status", "--coordinator", endpoint] + options)
    #expect(
      status.status == 1 && status.errors.contains("no coordinator answers"), "\(what): \(status)")
    // That somebody is there and what to do about it is said too.
    #expect(status.errors.contains(advice), "\(what): \(status)")
  }

  /// Orders that nobody follows, for lack of a client's key.
  private func expectNoOrder(_ endpoint: String, _ options: [String], _ what: String) async throws {
    for order in [["drain", "w0"], ["scale", "2"]] {
      let result = try await Program.run(
        ["cluster"] + order + ["--coordinator", endpoint] + options)
      #expect(
        result.status == 1 && result.errors.contains("no coordinator answers"), "\(what): \(result)"
      )
    }
  }

  @Test func strangersAreTurnedAwayAndTheBytesStayTheSame() async throws {
    let keys = try await newKeys()
    let elsewhere = try await newKeys()
    let expected = try await answers(["--model", Program.model])
    let cluster = try await ProcessCluster.start(
      vision: 1, shards: 2, keys: keys.path)
    defer { cluster.kill() }
    let asClient = ["--coordinator", cluster.endpoint, "--keys", keys.path]
    #expect(try await answers(asClient) == expected)

    // While a batch runs: nobody, another cluster's key, a role's key at another role's place.
    async let meanwhile = answers(asClient)
    try await expectNoAnswer(cluster.endpoint, [], "no key", "give one that it lets in with --key")
    try await expectNoAnswer(cluster.endpoint, ["--keys", elsewhere.path], "another cluster's key")
    let forged = try forge(
      elsewhere.file("client"),
      [(try elsewhere.key(for: .coordinator), try keys.key(for: .coordinator))])
    try await expectNoAnswer(cluster.endpoint, ["--key", forged], "an unknown key")
    let disguised = try forge(keys.file("worker"), role: ("worker", "client"))
    try await expectNoAnswer(
      cluster.endpoint, ["--key", disguised], "a worker's key as a client", "of another role")
    try await expectNoOrder(cluster.endpoint, ["--key", disguised], "a worker's key")
    try await expectNoOrder(cluster.endpoint, ["--keys", elsewhere.path], "another cluster's key")
    let renamed = try await Program.run([
      "status", "--coordinator", cluster.endpoint, "--key", keys.file("worker"),
    ])
    #expect(renamed.status != 0 && renamed.errors.contains("is the key of a worker"))
    let asWorker = try forge(keys.file("client"), role: ("client", "worker"))
    let intruders = try [["--keys", elsewhere.path], ["--key", asWorker], []].map {
      try Program.start(
        [
          "worker", "--coordinator", cluster.endpoint, "--name", "intruder", "--wait", "4",
        ] + $0)
    }
    defer { for intruder in intruders { intruder.signal(SIGKILL) } }
    let port = try #require(cluster.endpoint.split(separator: ":").last)
    let garbage = Process()
    garbage.executableURL = URL(filePath: "/bin/bash")
    garbage.arguments = [
      "-c", "for i in 1 2 3 4 5; do head -c 100000 /dev/urandom > /dev/tcp/127.0.0.1/\(port); done",
    ]
    garbage.standardError = FileHandle.nullDevice
    try garbage.run()
    garbage.waitUntilExit()
    #expect(try await meanwhile == expected)
    for intruder in intruders {
      #expect(await intruder.ended(within: 60) == 1)
      #expect(intruder.errors.contains("no coordinator answered"), "\(intruder.errors)")
      #expect(intruder.errors.contains("something listens there"), "\(intruder.errors)")
    }

    let log = cluster.coordinator.errors
    #expect(log.contains("turned 127.0.0.1 away at the control door"), "\(log)")
    #expect(!log.contains("intruder") && !log.contains("drains"))
    for role in ["coordinator", "worker", "client"] {
      let secret = try KeyFile(path: keys.file(role)).keys.secretKey
      #expect(!log.contains(secret))
      for worker in cluster.workers { #expect(!worker.errors.contains(secret)) }
    }
    #expect(try await answers(asClient) == expected)
    #expect(await cluster.stop() == [0, 0, 0, 0])
  }

  /// A key that is removed while everything runs lets nobody in from then on, and no others out.
  @Test func aRemovedKeyIsRefusedFromThenOn() async throws {
    let keys = try await newKeys()
    let cluster = try await ProcessCluster.start(vision: 1, shards: 1, keys: keys.path)
    defer { cluster.kill() }
    let copy = try Program.temporaryFolder().appending(path: "guest.key").path()
    try FileManager.default.copyItem(atPath: keys.file("guest"), toPath: copy)
    let guest = ["--key", copy]
    let before = try await Program.run(["status", "--coordinator", cluster.endpoint] + guest)
    #expect(before.status == 0, "\(before.errors)")
    let removed = try await Program.run(["keys", "remove", keys.path, "guest"])
    #expect(removed.status == 0, "\(removed.errors)")
    let listed = try await Program.run(["keys", "list", keys.path])
    #expect(!listed.output.contains("guest") && listed.output.contains("gpu"))
    for _ in 0..<500 where !cluster.coordinator.errors.contains("the list of keys has changed") {
      try await Task.sleep(for: .milliseconds(20))
    }
    try await expectNoAnswer(cluster.endpoint, guest, "a removed key")
    let after = try await Program.run([
      "status", "--coordinator", cluster.endpoint, "--keys", keys.path,
    ])
    #expect(after.status == 0, "\(after.errors)")
  }

  @Test func keysOfOthersAreRefusedWithTheRemedy() async throws {
    let keys = try await newKeys()
    chmod(keys.file("worker"), 0o644)
    let worker = try await Program.run([
      "worker", "--coordinator", "ipc:///tmp/nobody", "--key", keys.file("worker"),
    ])
    #expect(worker.status == 1 && worker.errors.contains("chmod 600"), "\(worker)")
    let alone = try await Program.run([
      "serve", "--model", Program.model, "--key", keys.file("coordinator"),
    ])
    #expect(alone.status == 1 && alone.errors.contains("needs --keys DIR"), "\(alone)")
    let local = try await Program.run([
      "batch", Program.demo + "/sample.jsonl", "--output", "/dev/null", "--model", Program.model,
      "--keys", keys.path,
    ])
    #expect(local.status == 64 && local.errors.contains("go with a cluster"), "\(local)")
  }

  /// Without keys: only with --insecure beyond this machine, and that is said.
  @Test func plainLinksLeaveTheMachineOnlyWhenSaid() async throws {
    let folder = try Program.temporaryFolder()
    let file = folder.appending(path: "endpoint").path()
    let serve = [
      "serve", "--model", Program.model, "--endpoint", "tcp://0.0.0.0:*", "--endpoint-file", file,
    ]
    let refused = try await Program.run(serve)
    #expect(refused.status == 1 && refused.errors.contains("palisade keys init"), "\(refused)")
    #expect(!FileManager.default.fileExists(atPath: file))
    let insecure = try Program.start(serve + ["--insecure"])
    defer { insecure.signal(SIGKILL) }
    for _ in 0..<1000 where !FileManager.default.fileExists(atPath: file) && insecure.isRunning {
      try await Task.sleep(for: .milliseconds(10))
    }
    #expect(insecure.errors.contains("INSECURE"), "\(insecure.errors)")
    let endpoint = try String(contentsOfFile: file, encoding: .utf8).trimmingCharacters(
      in: .whitespacesAndNewlines)
    #expect(endpoint.hasPrefix("tcp://0.0.0.0:"))
  }
}
