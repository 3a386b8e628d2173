@main struct Orders { static func main() {} }
