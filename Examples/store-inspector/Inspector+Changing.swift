import ReliabilityCore
import ReliabilityFileStore
import ReliabilityStore

#if canImport(Darwin)
import Darwin
#elseif canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

extension Inspector {
    // MARK: redrive

    /// Prints the dead letters that a redrive would make due.
    func planRedrive(_ inspection: StoreInspection, _ options: Options) -> Int32 {
        let ids = inspection.deadLetters(of: options.arguments[0]).map(\.id).filter(options.includes)
        report(ids, isApplied: false, options)
        return finish(inspection)
    }

    func redrive(_ options: Options) async throws -> Int32 {
        let store = try await open(options.directory)
        let queue = QueueName(options.arguments[0])
        var redriven: [String] = []
        do {
            var after: String?
            repeat {
                let page = try await store.page(queue, .deadLetter, after: after, limit: 256)
                after = page.next
                let records = page.records.filter { options.includes($0.id) }
                if records.isEmpty { continue }
                let results = try await store.settle(
                    records.map { Settlement(queue: queue, id: $0.id, token: $0.version, .redrive) }
                )
                redriven += zip(records, results).filter { $0.1 != .stale }.map(\.0.id)
            } while after != nil
        } catch {
            await store.close()
            throw error
        }
        await store.close()
        report(redriven, isApplied: true, options)
        return ExitCode.success
    }

    private func report(_ ids: [String], isApplied: Bool, _ options: Options) {
        if options.isJSON {
            for id in ids { print(.object([("id", .string(id)), ("isApplied", .bool(isApplied))])) }
            return
        }
        for id in ids { print("\(isApplied ? "redriven" : "would redrive"): \(plainText(Array(id.utf8)))") }
        print(counted(ids.count, "dead letter") + (isApplied ? "" : "; nothing was changed, --apply changes the store"))
    }

    // MARK: compact and snapshot

    func compact(_ options: Options) async throws -> Int32 {
        let store = try await open(options.directory)
        let before = fileBytes(options.directory)
        do {
            try await Progress(console, "compacting").whileRunning { try await store.compact() }
        } catch {
            await store.close()
            throw error
        }
        await store.close()
        let after = fileBytes(options.directory)
        if options.isJSON {
            print(.object([("bytesBefore", .number(before)), ("bytesAfter", .number(after))]))
        } else {
            print("\(byteText(before)) before, \(byteText(after)) after")
        }
        return ExitCode.success
    }

    func snapshot(_ options: Options) async throws -> Int32 {
        let target = options.arguments[0]
        try checkTarget(target, options.directory)
        let store = try await FileStore.open(at: options.directory, Self.unlimited, mode: .readOnly)
        do {
            try await Progress(console, "copying").whileRunning { try await store.snapshot(to: target) }
        } catch {
            await store.close()
            throw error
        }
        let usage = store.usage
        await store.close()
        if options.isJSON {
            print(.object([("entries", .count(usage.entries)), ("records", .count(usage.records))]))
        } else {
            print("copied \(counted(usage.entries, "entry", "entries")) and \(counted(usage.records, "record"))")
        }
        return ExitCode.success
    }

    private func open(_ path: String) async throws(StoreError) -> FileStore {
        // An opening would create a store.
        guard try StoreInspection.hasStore(at: path) else {
            throw StoreError(.unavailable, "\(path): the directory has no store")
        }
        return try await FileStore.open(at: path, Self.unlimited)
    }

    /// Limits above the content of every store, because a smaller limit of the inspector would reject a redrive.
    private static let unlimited = FileStore.Configuration(maxEntries: 1 << 60, maxBytes: 1 << 60)

    // MARK: salvage

    func salvage(_ options: Options) async throws -> Int32 {
        let target = options.arguments[0]
        try checkTarget(target, options.directory)
        let inspection = try await inspection(options)
        try inspection.salvage(to: target)
        // The copy is read back before the report.
        let copy = try StoreInspection(reading: target)
        guard copy.problem == nil, copy.content == inspection.content else {
            throw StoreError(.failed, "\(target): the copy does not have the content that was written")
        }
        if options.isJSON {
            print(inspection.json)
        } else {
            for line in inspection.lines { print(line) }
            print("the copy \(target) opens and has \(inspection.contentText)")
            if inspection.problem != nil {
                print(
                    "the copy skips \(StoreInspection.skippedVersions) versions, because lost frames may have had some"
                )
            }
        }
        return inspection.problem == nil ? ExitCode.success : ExitCode.damage
    }

    /// Rejects a target inside the store's directory, which would change the directory.
    private func checkTarget(_ target: String, _ directory: String) throws(StoreError) {
        var parent = target
        while parent.utf8.count > 1, parent.hasSuffix("/") { parent.removeLast() }
        parent = parent.lastIndex(of: "/").map { $0 == parent.startIndex ? "/" : String(parent[..<$0]) } ?? "."
        guard let source = realPath(directory) else { return }
        // The target itself may be a link.
        for path in [parent, target].compactMap(realPath) where (path + "/").hasPrefix(source + "/") {
            throw StoreError(.invalid, "\(target): the target is inside the directory of the store")
        }
    }

    private func realPath(_ path: String) -> String? {
        guard let resolved = unsafe realpath(path, nil) else { return nil }
        defer { unsafe free(resolved) }
        return unsafe String(cString: resolved)
    }

    /// The size of all files in a directory.
    private func fileBytes(_ path: String) -> Int64 {
        guard let stream = unsafe opendir(path) else { return 0 }
        defer { unsafe closedir(stream) }
        var total: Int64 = 0
        while let entry = unsafe readdir(stream) {
            var status = stat()
            let isFile = unsafe withUnsafePointer(to: &entry.pointee.d_name) { name in
                unsafe name.withMemoryRebound(
                    to: CChar.self,
                    capacity: MemoryLayout.size(ofValue: entry.pointee.d_name)
                ) {
                    unsafe fstatat(dirfd(stream), $0, &status, 0) == 0 && status.st_mode & S_IFMT == S_IFREG
                }
            }
            if isFile { total = total.saturatingAdd(Int64(status.st_size)) }
        }
        return total
    }
}

extension Options {
    /// Returns a Boolean value that indicates whether a redrive concerns a record.
    fileprivate func includes(_ id: String) -> Bool {
        ids.isEmpty || ids.contains { $0.utf8.elementsEqual(id.utf8) }
    }
}
