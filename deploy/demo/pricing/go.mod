module example.org/pricing

go 1.19
