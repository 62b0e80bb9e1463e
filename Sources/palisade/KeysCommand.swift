import ArgumentParser
import Messaging

/// `palisade keys`: who may join a cluster.
struct KeysCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "keys",
    abstract: "Make a cluster's keys, and say who is let in.",
    discussion: """
      palisade keys init DIR             the coordinator's key, one for workers, one for clients
      palisade keys add DIR worker gpu-1 one more, in DIR/gpu-1.key
      palisade keys remove DIR gpu-1     its holder is let in no more, at once
      palisade keys list DIR

      `palisade serve --keys DIR` needs the folder; another machine needs its own key file only
      (--key FILE), copied by a way that nobody else can read, and kept with mode 600. One key may
      serve many workers. A coordinator that runs follows every change within a second.
      """,
    subcommands: [Init.self, Add.self, Remove.self, List.self])

  struct Init: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Make a folder with the keys of a new cluster.")
    @Argument(help: "The folder.") var folder: String
    @Option(help: "One more worker's key, of this name; may be given several times.")
    var worker: [String] = []
    @Option(help: "One more client's key, of this name; may be given several times.")
    var client: [String] = []

    func run() throws {
      let keys = KeyFolder(folder)
      try keys.make()
      for name in worker { try keys.add(.worker, name: name) }
      for name in client { try keys.add(.client, name: name) }
      try KeysCommand.show(keys)
    }
  }

  struct Add: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Make one more key and let it in.")
    @Argument(help: "The folder.") var folder: String
    @Argument(help: "What its holder may be: worker or client.") var role: LinkRole
    @Argument(help: "A name.") var name: String

    func validate() throws {
      guard role != .coordinator else {
        throw ValidationError("a cluster has one coordinator's key; add a worker or a client")
      }
    }

    func run() throws {
      try Terminal.result(KeyFolder(folder).add(role, name: name))
    }
  }

  struct Remove: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Let a key's holder in no more, and delete the key's file here.")
    @Argument(help: "The folder.") var folder: String
    @Argument(help: "The key's name.") var name: String

    func run() throws { try KeyFolder(folder).remove(name) }
  }

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show who is let in.")
    @Argument(help: "The folder.") var folder: String

    func run() throws { try KeysCommand.show(KeyFolder(folder)) }
  }

  private static func show(_ keys: KeyFolder) throws {
    let coordinator = try keys.key(for: .coordinator)
    var table = TextTable(["role", "name", "public key"])
    table.add([coordinator.role.rawValue, coordinator.name, coordinator.keys.publicKey])
    let entries = try keys.allowList().entries.sorted {
      ($0.value.role.rawValue, $0.value.name) < ($1.value.role.rawValue, $1.value.name)
    }
    for (key, entry) in entries { table.add([entry.role.rawValue, entry.name, key]) }
    try Terminal.result(table.text)
  }
}

extension LinkRole: ExpressibleByArgument {}
