import Reliability

private let failure = StoreFailureMode.failClosed(timeout: .seconds(60))

/// Messages from their commit to their settlement, with 64 producers and a relay that makes 64 deliveries at a time.
///
/// The number is the number of messages of each producer.
@Sendable func measureOutbox(_ directory: String, _ messagesOfProducer: Int) async throws -> Stores.Figures {
    let producers = 64
    let store = try await FileStore.open(roomyAt: "\(directory)/store")
    let delivered = Counter()
    let queue = OutboxQueue("messages", store: store, storeFailure: failure)
    let relay = OutboxRelay(.init(concurrency: 64), queue: queue) { _ in delivered.next() }
    let running = Task { await relay.run() }
    let start = ContinuousClock.now
    let enqueueing = try await time(tasks: producers) { producer in
        for number in 0..<messagesOfProducer {
            let id = Content.text(producer * messagesOfProducer + number)
            try await queue.commit([], sending: [OutboxMessage(id: id, topic: "placed", payload: Content.value)])
        }
    }
    let messages = producers * messagesOfProducer
    while delivered.count < messages { try await Task.sleep(for: .milliseconds(1)) }
    while try await queue.counts().pending > 0 { try await Task.sleep(for: .milliseconds(1)) }
    let all = ContinuousClock.now - start
    running.cancel()
    await running.value
    await store.close()
    return [
        "perSecond": Double(messages) / all.inSeconds,
        "enqueuedPerSecond": Double(messages) / enqueueing.inSeconds,
    ]
}

/// Redrives of a number of dead letters in a file store.
@Sendable func measureRedrive(_ directory: String, _ letters: Int) async throws -> Stores.Figures {
    let store = try await FileStore.open(roomyAt: "\(directory)/store")
    let queue = OutboxQueue("messages", store: store, storeFailure: failure)
    let size = 100
    for start in stride(from: 0, to: letters, by: size) {
        let records = (start..<min(start + size, letters)).map { number in
            queue.record(for: OutboxMessage(id: Content.text(number), topic: "placed", payload: Content.value))
        }
        _ = try await store.enqueue(records)
    }
    while true {
        let claims = try await store.claim(queue.name, limit: size, lease: .seconds(60))
        if claims.isEmpty { break }
        _ = try await store.settle(claims.map { Settlement($0, .deadLetter(reason: "measured")) })
    }
    let start = ContinuousClock.now
    let redriven = try await queue.redriveDeadLetters()
    let time = ContinuousClock.now - start
    precondition(redriven == letters, "\(redriven) of \(letters) dead letters were redriven")
    await store.close()
    return ["microsecondsALetter": time.inNanoseconds / 1000 / Double(letters)]
}
