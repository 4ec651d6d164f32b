from facesmith.cli import main

main()
