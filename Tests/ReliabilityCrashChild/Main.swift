@main struct Child { static func main() {} }
