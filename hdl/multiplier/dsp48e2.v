// Packed multiplier: p = z + (a1 * 2^18 + a0) * b, in one DSP48E2 of Xilinx UltraScale+.
//
// Stages: A/D and B1, AD and B2, M, P; en[0]..en[3] are their clock enables. z is 0, cascade_in or p for addend 0, 1, 2,
// which is sampled in every cycle, with the product it is for entering M.
// Synthesis tools define SYNTHESIS and get the instance, simulators the behaviour of the same registers.
module triovit_packed_multiplier #(
    parameter CASCADED = 1  // cascade_in is the cascade_out of a neighbour; 0: it is not used
) (
    input  wire        clk,
    input  wire [7:0]  a0,
    input  wire [7:0]  a1,
    input  wire [7:0]  b,
    input  wire [3:0]  en,
    input  wire [1:0]  addend,
    input  wire [47:0] cascade_in,
    output wire [47:0] cascade_out,
    output wire [47:0] p
);
`ifdef SYNTHESIS
    wire [47:0] pcin;
    generate
        if (CASCADED) assign pcin = cascade_in;
        else assign pcin = 48'd0;
    endgenerate
    DSP48E2 #(
        .AREG(1), .ACASCREG(1), .BREG(2), .BCASCREG(2), .DREG(1), .ADREG(1), .MREG(1), .PREG(1),
        .CREG(1), .OPMODEREG(1), .ALUMODEREG(0), .INMODEREG(0), .CARRYINREG(0), .CARRYINSELREG(0),
        .AMULTSEL("AD"), .BMULTSEL("B"), .PREADDINSEL("A"), .A_INPUT("DIRECT"), .B_INPUT("DIRECT"),
        .USE_MULT("MULTIPLY"), .USE_SIMD("ONE48"), .USE_PATTERN_DETECT("NO_PATDET"), .USE_WIDEXOR("FALSE")
    ) dsp (
        .CLK(clk),
        .A({{22{a0[7]}}, a0}), .D({a1[7], a1, 18'd0}), .B({{10{b[7]}}, b}), .C(48'd0), .CARRYIN(1'b0),
        .ACIN(30'd0), .BCIN(18'd0), .PCIN(pcin), .CARRYCASCIN(1'b0), .MULTSIGNIN(1'b0),
        .INMODE(5'b00100),                      // multiply (D + A2) by B2
        .OPMODE({2'b00, 1'b0, addend, 4'b0101}),  // W = 0, Z = 0, PCIN or P, X and Y = M
        .ALUMODE(4'b0000), .CARRYINSEL(3'b000),
        .CEA1(1'b0), .CEA2(en[0]), .CED(en[0]), .CEB1(en[0]), .CEAD(en[1]), .CEB2(en[1]), .CEM(en[2]), .CEP(en[3]),
        .CEC(1'b0), .CECTRL(1'b1), .CEALUMODE(1'b0), .CEINMODE(1'b0), .CECARRYIN(1'b0),
        .RSTA(1'b0), .RSTB(1'b0), .RSTC(1'b0), .RSTD(1'b0), .RSTM(1'b0), .RSTP(1'b0),
        .RSTCTRL(1'b0), .RSTALUMODE(1'b0), .RSTINMODE(1'b0), .RSTALLCARRYIN(1'b0),
        .P(p), .PCOUT(cascade_out)
    );
`else
    reg signed [26:0] upper, lower, packed_operand;
    reg signed [17:0] shared1, shared2;
    reg signed [44:0] product;
    reg [1:0] z;
    reg [47:0] total;
    wire [47:0] cascade = (CASCADED != 0) ? cascade_in : 48'd0;

    always @(posedge clk) begin
        if (en[0]) begin
            upper <= {a1[7], a1, 18'd0};
            lower <= {{19{a0[7]}}, a0};
            shared1 <= {{10{b[7]}}, b};
        end
        if (en[1]) begin
            packed_operand <= upper + lower;
            shared2 <= shared1;
        end
        if (en[2])
            product <= packed_operand * shared2;
        z <= addend;
        if (en[3])
            total <= {{3{product[44]}}, product} + (z == 2'd0 ? 48'd0 : z == 2'd1 ? cascade : total);
    end
    assign p = total;
    assign cascade_out = total;
`endif
endmodule
